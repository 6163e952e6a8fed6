"""What the control plane answers, on both sides of its API."""

from dataclasses import dataclass
from typing import NamedTuple

from mesh.log.port import Position


class Executed(NamedTuple):
    position: Position  # of the commit; the head of `mesh` if the command was no news
    events: tuple[str, ...]  # type names of what was appended; empty: no news


@dataclass(frozen=True, slots=True)
class NodeStatus:
    id: str
    kind: str  # "edge" or "sidecar"
    connected: bool
    served: Position  # the newest position whose snapshot the node was sent, or did not need to be sent
    acknowledged: Position  # the newest position that the node said it runs
    rejected: str = ""  # why it said no to the newest snapshot; empty: it did not


@dataclass(frozen=True, slots=True)
class CallBooks:
    """How many calls the log knows of, by the edge that answered them."""

    edge: str
    recorded: int  # CallAnswered
    lost: int  # declared by CallsLost


@dataclass(frozen=True, slots=True)
class MeshStatus:
    position: Position  # head of `mesh`
    nodes: tuple[NodeStatus, ...]
    calls: tuple[CallBooks, ...]
