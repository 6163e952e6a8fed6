"""One run of the comparison: what was to be measured, on what, and where its results lie.

<results>/<run id>/
    run.json              this record, written before anything is measured
    measurements.jsonl    one line a measurement, as it comes (loadtests/model/measurements.py)
    rounds.jsonl          instead of it, of a check (loadtests/agreement/kept.py)
    report.html report.md raw.parquet    made from the ones above, at the end or by `meshlog bench report DIR`
"""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from loadtests.errors import UnreadableResults
from loadtests.model.cells import Cell

FILE = "run.json"
CHECK = "check"  # the kind of a run that holds our generator against other people's tools


@dataclass(frozen=True, slots=True)
class Serialization:
    """What the messages of one call cost to encode and decode, measured before the run (loadtests/hops/serialization.py)."""

    count: int  # of the stream, as in a cell
    delay_ms: int
    costs_us: dict[str, dict[str, dict[str, float]]]  # route -> path -> hop -> microseconds


@dataclass(frozen=True, slots=True)
class Run:
    id: str  # "2026-11-26T17-05-02-quick"
    kind: str  # "quick", "default", "full", CHECK
    begun_at_us: int  # since the epoch
    mesh: str  # its name
    seed: int  # of the order in which the cells were measured
    repetitions: int
    cells: tuple[Cell, ...]
    window_seconds: float = 0.0  # of the plan (loadtests/model/plan.py)
    warmup_seconds: float = 0.0
    git_revision: str = ""  # "" where meshlog was not run from a checkout; "-dirty" at its end: with changes
    machine: dict[str, str] = field(default_factory=dict)  # "processor", "cores", "memory", "kernel", …
    versions: dict[str, str] = field(
        default_factory=dict
    )  # "meshlog", "envoy", "python", "grpcio", "sanic", "locust", …
    settings: dict[str, str] = field(
        default_factory=dict
    )  # what else the figures depend on: "sampling", "generator processes"
    sampled_percent: float = 1.0  # of the calls, which are traced
    serialization: tuple[Serialization, ...] = ()

    def serialization_us(self, cell: Cell, route: str) -> dict[str, dict[str, float]]:
        """Path -> hop -> microseconds in one call; empty where it was not measured for a stream like that of `cell`."""
        for measured in self.serialization:
            if (measured.count, measured.delay_ms) == (cell.count, cell.delay_ms):
                return measured.costs_us.get(route, {})
        return {}


def write(run: Run, directory: Path) -> None:
    """Raises: OSError."""
    fresh = directory / f"{FILE}.new"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")
    fresh.replace(directory / FILE)


def read(directory: Path) -> Run:
    """Raises: UnreadableResults."""
    path = directory / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except FileNotFoundError:
        raise UnreadableResults(f"{directory} holds no benchmark: there is no {FILE}") from None
    except (OSError, ValueError) as error:
        raise UnreadableResults(f"{path} cannot be read: {error}") from None
