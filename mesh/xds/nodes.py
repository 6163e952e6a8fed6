"""What each node should run, what it runs, and what it said no to. State only; ads.py speaks to the Envoys.

Rules: an answer is news once for each snapshot, however often the node connects again; a snapshot is the same if its
digest is.
"""

from dataclasses import dataclass, field

from mesh.node_status import NodeStatus
from mesh.xds.delta import DeltaStream, Rejection
from mesh.xds.snapshot import Snapshot


@dataclass(slots=True)
class ServedNode:
    snapshot: Snapshot
    accepted: Snapshot | None  # the last one that it said it runs
    streams: list[DeltaStream] = field(default_factory=list)
    _served: int = field(init=False)
    _acknowledged: int = field(init=False)
    _rejected: str = field(init=False, default="")
    _rejected_digest: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._served = self._acknowledged = self.accepted.position if self.accepted else 0

    def opened(self) -> DeltaStream:
        """A stream of this node has begun."""
        stream = DeltaStream(self.snapshot, self.accepted)
        self.streams.append(stream)
        return stream

    def closed(self, stream: DeltaStream) -> None:
        self.streams.remove(stream)

    def offer(self, snapshot: Snapshot) -> None:
        """From now on the node should run `snapshot`."""
        if snapshot.digest == self.snapshot.digest:
            return
        self.snapshot, self._rejected = snapshot, ""
        for stream in self.streams:
            stream.offer(snapshot)

    def progressed(self, stream: DeltaStream, position: int) -> Snapshot | None:
        """Take note of what `stream` has sent and heard by now. Returns the snapshot that is news: newly accepted, whole.

        position: of the stream `mesh`, that the snapshots are as of.
        """
        if stream.target is None or stream.target.digest != self.snapshot.digest:
            return None
        self._served = position
        if stream.converged is None:
            return None
        self._acknowledged, self._rejected = position, ""
        is_news = self.accepted is None or self.accepted.digest != self.snapshot.digest
        self.accepted = self.snapshot
        for other in self.streams:
            other.accepted = self.snapshot
        return self.snapshot if is_news else None

    def refused(self, rejection: Rejection) -> bool:
        """Take note of what the node said no to. Returns whether that is news."""
        digest = rejection.snapshot.digest
        if digest == self.snapshot.digest:
            self._rejected = rejection.reason
        is_news, self._rejected_digest = digest != self._rejected_digest, digest
        return is_news

    def status(self, id_: str) -> NodeStatus:
        connected = bool(self.streams)
        return NodeStatus(id_, self.snapshot.kind, connected, self._served, self._acknowledged, self._rejected)
