"""What the control plane answers, on both sides of its API."""

from dataclasses import dataclass
from typing import NamedTuple

from mesh.log.port import Position
from mesh.node_status import NodeStatus

__all__ = ["CallBooks", "Executed", "FaultInForce", "MeshStatus", "NodeStatus"]


class Executed(NamedTuple):
    position: Position  # of the commit; the head of `mesh` if the command was no news
    events: tuple[str, ...]  # type names of what was appended; empty: no news


@dataclass(frozen=True, slots=True)
class CallBooks:
    """How many calls the log knows of, by the edge that answered them."""

    edge: str
    recorded: int  # CallAnswered
    lost: int  # declared by CallsLost


@dataclass(frozen=True, slots=True)
class FaultInForce:
    """What the sidecar of a workload does to its calls, because somebody wished it."""

    workload: str
    delay_ms: float
    percent: float


@dataclass(frozen=True, slots=True)
class MeshStatus:
    position: Position  # head of `mesh`
    nodes: tuple[NodeStatus, ...]
    calls: tuple[CallBooks, ...]
    faults: tuple[FaultInForce, ...] = ()
