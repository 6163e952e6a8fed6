"""The log in memory: for tests and for trying things out. It ends with the process; in all else it is a Log."""

import asyncio
from collections.abc import AsyncGenerator

from mesh.errors import ConcurrentAppend, LogUnavailable
from mesh.log.port import START, Commit, Entry, Position, Produced, tallied, within


class MemoryLog:
    def __init__(self) -> None:
        self._streams: dict[str, list[Commit]] = {}
        self._offsets: dict[tuple[str, str], int] = {}
        self._followers: set[asyncio.Event] = set()
        self._closed = False

    async def append(
        self, stream: str, commit: Commit, *, expect: Position | None = None, produced: Produced | None = None
    ) -> Position:
        self._check_open()
        commits = self._streams.get(stream, [])
        if produced is not None and produced.offset <= self._offsets.get((stream, produced.producer), 0):
            return len(commits)
        if expect is not None and expect != len(commits):
            raise ConcurrentAppend(stream, expect, len(commits))
        self._streams[stream] = commits
        commits.append(commit)
        if produced is not None:
            self._offsets[stream, produced.producer] = produced.offset
        for news in self._followers:
            news.set()
        return len(commits)

    async def read(self, streams: str, after: Position = START, limit: int | None = None) -> list[Entry]:
        entries = [entry for stream in await self.names(streams) for entry in self._after(stream, after)]
        return entries[:limit]

    async def follow(self, streams: str, after: Position = START) -> AsyncGenerator[Entry, None]:
        news = asyncio.Event()
        self._followers.add(news)
        seen: dict[str, Position] = {}
        try:
            while True:
                news.clear()  # before the look, so that what comes after it is news
                for stream in await self.names(streams):
                    for entry in self._after(stream, seen.get(stream, after)):
                        seen[stream] = entry.position
                        yield entry
                await news.wait()
        finally:
            self._followers.discard(news)

    async def names(self, streams: str) -> list[str]:
        self._check_open()
        return sorted(stream for stream in self._streams if within(stream, streams))

    async def head(self, stream: str) -> Position:
        self._check_open()
        return len(self._streams.get(stream, []))

    async def offset(self, stream: str, producer: str) -> int:
        self._check_open()
        return self._offsets.get((stream, producer), 0)

    async def tally(self, stream: str) -> dict[str, int]:
        self._check_open()
        return dict(tallied(event for commit in self._streams.get(stream, []) for event in commit.events))

    async def close(self) -> None:
        self._closed = True
        for news in self._followers:
            news.set()

    def _after(self, stream: str, after: Position) -> list[Entry]:
        commits = self._streams[stream]
        return [
            Entry(stream, position, commits[position - 1]) for position in range(max(after, 0) + 1, len(commits) + 1)
        ]

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable("the log is closed")
