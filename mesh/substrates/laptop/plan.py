"""What `meshlog up` asks of the supervisor: the declaration to apply, and how this laptop starts the workloads.

Written by `up`, read by the supervisor when it starts and when it is told that there is a new one.
"""

from dataclasses import dataclass, field
from pathlib import Path

import msgpack
import msgspec

from mesh.errors import SubstrateError
from mesh.events import Declaration


@dataclass(frozen=True, slots=True)
class Plan:
    declaration: Declaration
    commands: dict[
        str, tuple[str, ...]
    ]  # service -> how to start one workload of it, {python} and {listen} to be filled in
    environment: dict[str, str] = field(default_factory=dict)  # what every process gets
    telemetry: dict[str, str] = field(
        default_factory=dict
    )  # OTEL_* variables for the workloads, never written to the log
    sink: tuple[str, str] | None = None  # addresses (gRPC, HTTP) of our own span sink; None: spans go elsewhere
    actor: str = ""

    def write(self, path: Path) -> None:
        plain = msgspec.to_builtins(self, builtin_types=(bytes,))
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgpack.packb(plain))
        fresh.replace(path)


def read_plan(path: Path) -> Plan:
    """Raises: SubstrateError."""
    try:
        return msgspec.convert(msgpack.unpackb(path.read_bytes()), Plan, builtin_types=(bytes,))
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise SubstrateError(f"{path} cannot be read ({error}); `meshlog up` writes it anew") from error
