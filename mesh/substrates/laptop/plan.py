"""What `meshlog up` asks of the supervisor: the declaration to apply, and how this laptop starts the workloads.

`up` stages a plan; the supervisor applies what it declares and, once that is in the log, makes it the plan in force. A plan
that is refused is thrown away, so that it has changed nothing.
"""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import msgpack
import msgspec

from mesh.errors import SubstrateError
from mesh.events import Declaration


@dataclass(frozen=True, slots=True)
class Plan:
    declaration: Declaration
    # service -> how to start one workload of it, {python} and {listen} to be filled in
    commands: dict[str, tuple[str, ...]]
    environment: dict[str, str] = field(default_factory=dict)  # what every process gets
    # OTEL_* variables for the workloads, never written to the log
    telemetry: dict[str, str] = field(default_factory=dict)
    sink: tuple[str, str] | None = None  # addresses (gRPC, HTTP) of our own span sink; None: spans go elsewhere
    actor: str = ""
    id: str = ""  # of the request, so that whoever made it knows its answer

    def stage(self, path: Path) -> None:
        """Lay the plan beside the one in force, for the supervisor to find. Raises: OSError."""
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgpack.packb(msgspec.to_builtins(self, builtin_types=(bytes,))))
        fresh.replace(_staged(path))


def take(path: Path) -> Plan | None:
    """The plan that is to be applied: what was staged last, or what a killed supervisor had not finished. Raises: SubstrateError."""
    with contextlib.suppress(FileNotFoundError):
        _staged(path).replace(_taken(path))  # so that the next one to be staged is not taken for this one
    return read_plan(_taken(path)) if _taken(path).exists() else None


def put_in_force(path: Path) -> None:
    """What was taken is the plan now."""
    with contextlib.suppress(FileNotFoundError):  # taken back meanwhile: it is in the log all the same
        _taken(path).replace(path)


def discard(path: Path) -> None:
    """Take back what was staged, or taken and not applied yet."""
    for file in (_staged(path), _taken(path)):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _staged(path: Path) -> Path:
    return path.with_suffix(".next")


def _taken(path: Path) -> Path:
    return path.with_suffix(".taken")


def read_plan(path: Path) -> Plan:
    """Raises: SubstrateError."""
    try:
        return msgspec.convert(msgpack.unpackb(path.read_bytes()), Plan, builtin_types=(bytes,))
    except (OSError, ValueError, TypeError, msgspec.ValidationError) as error:
        raise SubstrateError(f"{path} cannot be read ({error}); `meshlog up` writes it anew") from error
