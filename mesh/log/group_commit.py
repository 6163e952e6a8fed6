"""Appends that wait for the disk together: what comes while one transaction is being written shares the next one.

One thread writes, so that the event loop never waits for the disk; one fsync serves everybody who waited. The queue is
bounded: when the disk cannot keep up, producers hear of it instead of filling the memory.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mesh.errors import LogUnavailable
from mesh.log.port import Position
from mesh.log.sqlite_file import Append, CommitFile

WAITING_MAX = 4_096  # appends
WAITING_BYTES_MAX = 32 * 1024 * 1024  # also bounds one transaction

Outcome = Position | Exception


class _Waiting(NamedTuple):
    append: Append
    answer: asyncio.Future[Position]


class GroupCommit:
    def __init__(self, file: CommitFile, grown: Callable[[], None]) -> None:
        """`grown` is called on the event loop after a transaction."""
        self._file = file
        self._grown = grown
        self._loop = asyncio.get_running_loop()
        self._turn = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._closing = False
        # daemon: a process that ends without close() has acknowledged nothing that is not on disk
        self._thread = threading.Thread(target=self._write_all, name=f"log {file.path.name}", daemon=True)
        self._thread.start()

    async def append(self, append: Append) -> Position:
        """Raises: ConcurrentAppend, LogUnavailable. If the caller is cancelled the append may still happen."""
        answer: asyncio.Future[Position] = self._loop.create_future()
        with self._turn:
            if self._closing:
                raise LogUnavailable("the log is closed")
            if len(self._waiting) >= WAITING_MAX or self._waiting_bytes + len(append.record) > WAITING_BYTES_MAX:
                raise LogUnavailable(
                    f"{len(self._waiting)} appends wait for the disk of {self._file.path} already; try again later"
                )
            self._waiting.append(_Waiting(append, answer))
            self._waiting_bytes += len(append.record)
            self._turn.notify()
        return await answer

    def close(self) -> None:
        """Write what waits, then end. Blocks."""
        with self._turn:
            self._closing = True
            self._turn.notify()
        self._thread.join()

    def _write_all(self) -> None:
        while batch := self._next_batch():
            outcomes = self._written([waiting.append for waiting in batch])
            if self._loop.is_closed():
                return  # nobody is left to be told
            self._loop.call_soon_threadsafe(self._answer, batch, outcomes)

    def _next_batch(self) -> list[_Waiting]:
        """Everything that waits; empty: closed, and nothing is left to write."""
        with self._turn:
            self._turn.wait_for(lambda: self._waiting or self._closing)
            batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
            return batch

    def _written(self, appends: Sequence[Append]) -> Sequence[Outcome]:
        try:
            return self._file.write(appends)
        except LogUnavailable as error:
            # one each: a raised exception carries its own traceback
            return [LogUnavailable(str(error)) for _ in appends]
        except Exception as error:  # a mistake of ours belongs to those who wait, and must not end the thread
            return [error for _ in appends]

    def _answer(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
        for (_, answer), outcome in zip(batch, outcomes, strict=True):
            if answer.done():
                continue  # the caller was cancelled
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)
        self._grown()
