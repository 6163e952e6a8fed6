"""Moves an edge's spool into the log: every record once, however often shipper, Envoy and control plane are killed.

Rules
- The log keeps, with every commit, how far its producer (a file of the spool) has got. That offset is the only truth: a
  shipper that starts asks for it, and so does one that has heard no clear answer.
- Before a batch is sent, its bounds are written down in `<spool>/sending`. If no answer comes (the control plane is away, the
  shipper is killed) the same batch is sent again, not a longer one: whether the log has kept the first one or is going to,
  it takes only one of the two.
- A file is removed when the log has all of it and nobody writes to it any more.
- Nothing is held in memory but one batch. When the log cannot take it, the spool waits on the disk.
- A commit costs as much as a hundred events. So after a round calls are let gather for a while, unless a file has more
  than one batch to give.
- What cannot be read is declared: CallsLost.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

from mesh.errors import MeshError
from mesh.events import CallEvent
from mesh.journal.batches import next_batch
from mesh.journal.books import Books
from mesh.journal.sources import Source, incarnations, remove, remove_empty, rotate, sources, without_access_log

Append = Callable[[str, tuple[CallEvent, ...], str, int], Awaitable[object]]  # stream, events, producer, offset
OffsetOf = Callable[[str, str], Awaitable[int]]  # stream, producer
ReopenLogs = Callable[[], Coroutine[object, object, object]]  # POST /reopen_logs of the edge's admin

POLL_SECONDS = 0.1  # a look at an idle spool costs some 100 µs
GATHER_SECONDS = 0.2  # after a round that moved something
BACKOFF_SECONDS_MAX = 2.0
REOPEN_SECONDS = 1.0  # between two requests to open the logs again
REOPEN_SECONDS_MAX = 5.0  # for one of them: calls must not wait for an access log
ACCESS_LOG_BYTES = 8 * 1024 * 1024  # then it is rotated
SENDING_BYTES = 512  # of the file `sending`, always: to write it again needs no room on a full disk


class Shipper:
    """One of them for a spool. `trouble` says why nothing moves, if nothing does."""

    def __init__(
        self, spool: Path, stream: str, append: Append, offset_of: OffsetOf, reopen_logs: ReopenLogs | None = None
    ) -> None:
        """Without `reopen_logs` the access log is never rotated."""
        self.books = Books()
        self.trouble = ""
        self._spool, self._stream = spool, stream
        self._append, self._offset_of, self._reopen_logs = append, offset_of, reopen_logs
        self._offsets: dict[str, int] = {}  # that the log is known to keep
        self._sending = _Sending(spool / "sending")
        self._reopened_at = float("-inf")
        self._is_behind = False  # a file may have more than the last round took

    async def run(self) -> None:
        """Ship until cancelled."""
        backoff_seconds = POLL_SECONDS
        while True:
            try:
                moved = await self.ship_once()
            except (MeshError, OSError) as error:  # the log or the disk; the spool keeps what is not shipped
                self.trouble = str(error)
                await asyncio.sleep(backoff_seconds)
                backoff_seconds = min(2 * backoff_seconds, BACKOFF_SECONDS_MAX)
                continue
            self.trouble, backoff_seconds = "", POLL_SECONDS
            if not self._is_behind:
                await asyncio.sleep(GATHER_SECONDS if moved else POLL_SECONDS)

    async def drain(self, *, envoy_gone: bool = False) -> None:
        """Ship what is there now. `envoy_gone`: nobody writes any more, so that nothing stays behind. Raises: what `append` raises."""
        while await self.ship_once(envoy_gone=envoy_gone):
            pass

    async def ship_once(self, *, envoy_gone: bool = False) -> bool:
        """One batch of every file; whether anything was there. Raises: what `append` and `offset_of` raise."""
        moved = self._is_behind = False
        for source in list(sources(self._spool, envoy_gone=envoy_gone)):
            moved |= await self._ship(source)
        remove_empty(self._spool)
        await self._keep_access_log_short()
        return moved

    async def _ship(self, source: Source) -> bool:
        producer = source.producer
        if producer not in self._offsets:
            self._offsets[producer] = await self._offset_of(self._stream, producer)
        batch = next_batch(source, *self._sending.again(producer, self._offsets[producer]))
        if batch.events:
            self._sending.write(producer, batch.begin, batch.end)
            del self._offsets[producer]  # not known again before there is an answer
            await self._append(self._stream, batch.events, producer, batch.end)
            self.books.count(batch.events)
        self._offsets[producer] = batch.end
        self._is_behind |= batch.is_full
        if batch.last:
            remove(source)
            del self._offsets[producer]
        return batch.moves and not batch.last

    async def _keep_access_log_short(self) -> None:
        if self._reopen_logs is None:
            return
        now = asyncio.get_running_loop().time()
        for newest in incarnations(self._spool)[-1:]:
            rotate(newest, ACCESS_LOG_BYTES)
            if without_access_log(newest) and now - self._reopened_at >= REOPEN_SECONDS:
                self._reopened_at = now
                with contextlib.suppress(MeshError, OSError):  # Envoy does not answer now; what it writes is not lost
                    await asyncio.wait_for(self._reopen_logs(), REOPEN_SECONDS_MAX)


class _Sending:
    """The batch that is on its way to the log: `producer begin end`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._producer, self._begin, self._end = "", 0, 0
        with contextlib.suppress(OSError, ValueError):  # there is none: nothing was ever sent from here
            producer, begin, end = path.read_text(encoding="utf-8").split()
            self._producer, self._begin, self._end = producer, int(begin), int(end)

    def again(self, producer: str, kept: int) -> tuple[int, int | None]:
        """Where the next batch of `producer` begins, and where it must end (None: anywhere), if the log keeps `kept`."""
        if producer == self._producer and kept < self._end:
            return max(kept, self._begin), self._end
        return kept, None

    def write(self, producer: str, begin: int, end: int) -> None:
        self._producer, self._begin, self._end = producer, begin, end
        with contextlib.suppress(OSError):  # a disk too full for one block must not keep the spool from being emptied
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, f"{producer} {begin} {end}".encode().ljust(SENDING_BYTES), 0)
            finally:
                os.close(descriptor)
