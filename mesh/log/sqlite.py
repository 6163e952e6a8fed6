"""The log in SQLite: the default, with nothing to install and nothing to run.

One directory holds
    mesh.db     configuration, what the nodes answered, runs of the benchmark
    calls.db    the journal (streams below "calls/"), apart so that neither waits for the other's disk writes
    owner.lock  held by the one process that owns the log, let go by the system however that process ends, removed by one that closes it
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

from mesh.errors import LogUnavailable
from mesh.log.codec import encode
from mesh.log.group_commit import GroupCommit
from mesh.log.port import CALLS, START, Commit, Entry, Position, Produced, tallied
from mesh.log.sqlite_file import Append, CommitFile
from mesh.log.sqlite_trouble import RESTORE, is_void

PAGE = 64  # commits that a follower reads at a time: one of the journal may hold a thousand events

OWNER_LOCK = "owner.lock"

Value = TypeVar("Value")


class _Shelf:
    """One file with the thread that writes it, the thread that reads it, and those who follow it."""

    def __init__(self, file: CommitFile) -> None:
        self.file = file
        self.followers: set[asyncio.Event] = set()
        self.writing = GroupCommit(file, self.wake)
        self.reading = ThreadPoolExecutor(1, thread_name_prefix=f"read {file.path.name}")

    def wake(self) -> None:
        for news in self.followers:
            news.set()

    async def ask(self, question: Callable[[CommitFile], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self.reading, question, self.file)

    def close(self) -> None:
        self.writing.close()
        self.reading.shutdown()
        self.file.close()


class SqliteLog:
    """A Log (mesh/log/port.py), made by `open`."""

    def __init__(self, lock: int, mesh: CommitFile, calls: CommitFile) -> None:
        self._lock = lock
        self._lock_path = mesh.path.with_name(OWNER_LOCK)
        self._mesh = _Shelf(mesh)
        self._calls = _Shelf(calls)
        self._closed = False

    @classmethod
    async def open(cls, directory: Path) -> Self:
        """Raises: LogUnavailable, UnreadableEvent; they say which file and what to do."""
        return cls(*await asyncio.to_thread(_opened, directory))

    async def append(
        self, stream: str, commit: Commit, *, expect: Position | None = None, produced: Produced | None = None
    ) -> Position:
        self._check_open()
        return await self._shelf(stream).writing.append(
            Append(stream, encode(commit), expect, produced, tallied(commit.events))
        )

    async def read(self, streams: str, after: Position = START, limit: int | None = None) -> list[Entry]:
        self._check_open()
        entries: list[Entry] = []
        for name in await self.names(streams):
            left = None if limit is None else limit - len(entries)
            if left == 0:
                break
            entries += await self._read(name, after, left)
        return entries

    async def follow(self, streams: str, after: Position = START) -> AsyncGenerator[Entry, None]:
        self._check_open()
        news = asyncio.Event()
        shelves = self._shelves(streams)
        for shelf in shelves:
            shelf.followers.add(news)
        seen: dict[str, Position] = {}
        try:
            while True:
                news.clear()  # before the look, so that what comes after it is news
                for name in await self.names(streams):
                    while entries := await self._read(name, seen.get(name, after), PAGE):
                        for entry in entries:
                            seen[name] = entry.position
                            yield entry
                await news.wait()
        finally:
            for shelf in shelves:
                shelf.followers.discard(news)

    async def names(self, streams: str) -> list[str]:
        self._check_open()
        found = [await shelf.ask(lambda file: file.names(streams)) for shelf in self._shelves(streams)]
        return sorted(name for names in found for name in names)

    async def head(self, stream: str) -> Position:
        self._check_open()
        return await self._shelf(stream).ask(lambda file: file.head(stream))

    async def offset(self, stream: str, producer: str) -> int:
        self._check_open()
        return await self._shelf(stream).ask(lambda file: file.offset(stream, producer))

    async def tally(self, stream: str) -> dict[str, int]:
        self._check_open()
        return await self._shelf(stream).ask(lambda file: file.tally(stream))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for shelf in (self._mesh, self._calls):
            await asyncio.to_thread(shelf.close)
            shelf.wake()  # who follows hears that the log is closed
        with suppress(OSError):
            self._lock_path.unlink()  # while we hold it, so that nobody else's goes
        os.close(self._lock)

    async def _read(self, stream: str, after: Position, limit: int | None) -> list[Entry]:
        self._check_open()
        return await self._shelf(stream).ask(lambda file: file.read(stream, after, limit))

    def _shelf(self, stream: str) -> _Shelf:
        return self._calls if stream.startswith(CALLS) else self._mesh

    def _shelves(self, streams: str) -> list[_Shelf]:
        return [self._mesh, self._calls] if streams == "" else [self._shelf(streams)]

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("the log is closed")


def _opened(directory: Path) -> tuple[int, CommitFile, CommitFile]:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _locked(directory / OWNER_LOCK)
    except OSError as error:
        raise LogUnavailable(f"the log's directory {directory} cannot be used: {error.strerror or error}") from error
    try:
        mesh, calls = directory / "mesh.db", directory / "calls.db"
        if is_void(mesh) and not is_void(calls):  # mesh.db is always made first
            raise LogUnavailable(
                f"{mesh} is missing or empty, though {calls.name} is there; {RESTORE} (with {calls.name})"
            )
        kept = CommitFile(mesh)
        try:
            return lock, kept, CommitFile(calls)
        except BaseException:
            kept.close()
            raise
    except BaseException:
        os.close(lock)
        raise


def _locked(path: Path) -> int:
    """A descriptor that holds the lock until it is closed."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(lock, 32).decode(errors="replace").strip()
        os.close(lock)
        raise LogUnavailable(
            f"the log in {path.parent} is owned by another process ({owner or 'unknown'}); end that one first"
        ) from error
    if not _is_at(path, lock):  # its last owner took the file away while we waited at its door
        os.close(lock)
        return _locked(path)
    with suppress(OSError):  # the number is for the message above; a full disk must not stop the log from being read
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _is_at(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False
