"""What can be wished of the mesh. Imperative; the same nouns as the events; decided in mesh/decide.py."""

from dataclasses import dataclass

from mesh.events import Declaration


@dataclass(frozen=True, slots=True)
class ApplyTopology:
    """Make the mesh what a topology file declares; what an operator changed by command stays until the file changes it."""

    declaration: Declaration


@dataclass(frozen=True, slots=True)
class ShiftTraffic:
    """Spread the callers of a service over its versions. Versions that are not named get 0."""

    service: str
    weights: dict[str, int]  # version -> percent


@dataclass(frozen=True, slots=True)
class InjectFault:
    """Let the sidecar of a workload delay calls; instead of the fault that it has, if it has one."""

    workload: str  # its id
    delay_ms: float
    percent: float = 100.0  # of the calls


@dataclass(frozen=True, slots=True)
class ClearFault:
    workload: str


Command = ApplyTopology | ShiftTraffic | InjectFault | ClearFault
