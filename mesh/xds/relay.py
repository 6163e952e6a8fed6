"""Hands on what nodes answered, one answer after the other: to who records it, and then the snapshot to the store.

Rules: what the log or the disk cannot take now is handed on again until it can, for the node does as it said all the same; what
came later waits (there is one answer for each snapshot, and without a log there are no new snapshots). A snapshot is stored
after it was recorded, so that who is killed in between asks the node once more, and records what it says.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from mesh.errors import MeshError
from mesh.xds.delta import Rejection
from mesh.xds.snapshot import Snapshot
from mesh.xds.store import SnapshotStore

AGAIN_SECONDS = 1.0
STOP_SECONDS = 2.0
REASON_CHARACTERS = 2_000

Accepted = Callable[[str, int, str], Awaitable[None]]
"""(node, position, digest): the node says that it runs the snapshot, whole. May be told the same again."""
Rejected = Callable[[str, int, str, str], Awaitable[None]]
"""(node, position, type url, reason): the node keeps what it had. May be told the same again."""


class Relay:
    """Works from `start` to `stop`, on one event loop."""

    def __init__(
        self, store: SnapshotStore | None = None, accepted: Accepted | None = None, rejected: Rejected | None = None
    ) -> None:
        self._store, self._accepted, self._rejected = store, accepted, rejected
        self._answers: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._work = asyncio.create_task(self._hand_on())

    async def stop(self) -> None:
        """Hand on what is left, for at most STOP_SECONDS."""
        if self._work is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._answers.join()
        self._work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._work

    def accepted(self, snapshot: Snapshot) -> None:
        self._answers.put_nowait(lambda: self._say_yes(snapshot))

    def rejected(self, rejection: Rejection) -> None:
        self._answers.put_nowait(lambda: self._say_no(rejection))

    async def _say_yes(self, snapshot: Snapshot) -> None:
        if self._accepted:
            await self._accepted(snapshot.node, snapshot.position, snapshot.digest)
        if self._store:
            await asyncio.to_thread(self._store.save, snapshot)

    async def _say_no(self, rejection: Rejection) -> None:
        if self._rejected:
            snapshot, reason = rejection.snapshot, rejection.reason[:REASON_CHARACTERS]
            await self._rejected(snapshot.node, snapshot.position, rejection.type_url, reason)

    async def _hand_on(self) -> None:
        while True:
            answer = await self._answers.get()
            try:
                await self._handed_on(answer)
            finally:
                self._answers.task_done()

    async def _handed_on(self, answer: Callable[[], Awaitable[None]]) -> None:
        complained = False
        while True:
            try:
                return await answer()
            except (MeshError, OSError) as error:
                if not complained:
                    _complain("what a node answered is not recorded yet", error)
                complained = True
                await asyncio.sleep(AGAIN_SECONDS)
            except Exception as error:  # a mistake of ours: the next answer must not be lost as well
                return _complain("what a node answered was not recorded", error)


def _complain(sentence: str, error: Exception) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": sentence, "exception": error})
