"""The log as the mesh sees it: a port. Adapters are named after what keeps the commits (memory, sqlite)."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Protocol

from mesh.events import CallsLost, Event

Position = int
START: Position = 0  # before the first commit

# the streams; mesh/events.py says what stands in which
MESH = "mesh"
NODES = "nodes/"  # and the id of a node
CALLS = "calls/"  # and the id of an edge
RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Commit:
    """The unit of the log: what one command led to, or what one producer saw. Nobody ever sees half of it."""

    id: str
    command_id: str
    actor: str
    reason: str
    at_us: int  # microseconds since the epoch
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Produced:
    """How far a producer has got with a commit: a name, and an offset that only grows."""

    producer: str
    offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    stream: str
    position: Position
    commit: Commit


def within(stream: str, streams: str) -> bool:
    """Whether `streams`, as the methods of a log understand it, covers `stream`."""
    return streams == "" or stream == streams or (streams.endswith("/") and stream.startswith(streams))


def tallied(events: Iterable[Event]) -> Counter[str]:
    """What one commit adds to the tally of its stream."""
    amounts: Counter[str] = Counter()
    for event in events:
        amounts[type(event).__name__] += event.count if isinstance(event, CallsLost) else 1
    return amounts


class Log(Protocol):
    """Commits in streams, append-only. A stream's positions are 1, 2, 3 … without gaps; a position, once read, never changes.

    A stream is named by words and slashes ("mesh", "calls/edge"). Where `streams` is asked for, a name means that stream,
    a name with a slash at its end ("calls/") every stream below it, and "" every stream.
    """

    async def append(
        self, stream: str, commit: Commit, *, expect: Position | None = None, produced: Produced | None = None
    ) -> Position:
        """Keep `commit` and return its position; when this returns, the commit survives the loss of the process and of power.

        expect: the head that the caller decided against; None appends after whatever is there.
        produced: the producer's name and how far it has got. What is at or before the offset already kept is not
            appended again; the head is returned.
        Raises: ConcurrentAppend, LogUnavailable (nothing was kept).
        """

    async def read(self, streams: str, after: Position = START, limit: int | None = None) -> list[Entry]:
        """What is kept now, after `after` in each stream, in order of stream and position. Raises: LogUnavailable, UnreadableEvent."""

    def follow(self, streams: str, after: Position = START) -> AsyncGenerator[Entry, None]:
        """Every commit after `after`, in order within each stream, without end: first those that are kept, then each as it comes.

        Who has read enough closes it. Raises: LogUnavailable, UnreadableEvent.
        """

    async def names(self, streams: str) -> list[str]:
        """The names of the streams that hold commits, in order. Raises: LogUnavailable."""

    async def head(self, stream: str) -> Position:
        """The position of the newest commit; START of a stream that nobody has written. Raises: LogUnavailable."""

    async def offset(self, stream: str, producer: str) -> int:
        """How far `producer` has got in `stream`; 0: never heard of it. Raises: LogUnavailable."""

    async def tally(self, stream: str) -> dict[str, int]:
        """How many events of each type the stream holds; of CallsLost, how many calls they declare. Raises: LogUnavailable."""

    async def close(self) -> None:
        """Finish what was begun. Everything acknowledged is kept."""
