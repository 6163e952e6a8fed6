"""What the supervisor knows, written down for `meshlog status` and `meshlog up`.

Rules: one file, replaced in one step; a file that cannot be read counts as one that says nothing, because the processes
themselves can be found; one that cannot be written is written later, and never stops the supervisor.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec


@dataclass(frozen=True, slots=True)
class ProcessState:
    name: str
    kind: str
    pid: int | None
    state: str
    ports: tuple[int, ...] = ()
    restarts: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class State:
    mesh: str
    position: int = 0  # of the stream `mesh`, that the supervisor knows of
    plan: str = ""  # id of the plan that has been brought about, whole
    refused: str = ""  # id of a plan that was refused, and changed nothing
    refusal: str = ""  # why
    problem: str = ""  # what keeps the supervisor from its work now
    processes: tuple[ProcessState, ...] = ()


def write_state(state: State, path: Path) -> bool:
    """False if there is no room for it now."""
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(msgspec.json.encode(state))
        fresh.replace(path)
    except OSError:
        return False
    return True


def read_state(mesh: str, path: Path) -> State:
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        return State(mesh)
