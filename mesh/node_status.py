"""How a node stands: what it was told, and what it said to that. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Positions are of the stream `mesh`."""

    id: str
    kind: str  # "edge" or "sidecar"
    connected: bool
    served: int  # the newest position whose snapshot the node was sent, or did not need to be sent
    acknowledged: int  # the newest position that the node said it runs
    rejected: str = ""  # why it said no to the newest snapshot; empty: it did not
