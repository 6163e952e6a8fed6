"""What each Envoy answered to its snapshots, kept in nodes/<id>. An answer that only repeats the last one is no news."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from mesh.events import Event, NodeEvent
from mesh.log.port import NODES, START, Commit, Log

ACTOR = "control-plane"


class NodeAnswers:
    def __init__(self, log: Log, clock_us: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._log = log
        self._clock_us = clock_us
        self._new_id = new_id
        self._last: dict[str, Event | None] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # answers of one node stay in order

    async def record(self, answer: NodeEvent) -> None:
        """Raises: LogUnavailable (nothing was appended; the same answer may be recorded later)."""
        async with self._turns[answer.node]:
            if answer.node not in self._last:
                self._last[answer.node] = await self._newest(answer.node)
            if self._last[answer.node] == answer:
                return
            commit = Commit(self._new_id(), "", ACTOR, "", self._clock_us(), (answer,))
            await self._log.append(_stream(answer.node), commit)
            self._last[answer.node] = answer

    async def _newest(self, node: str) -> Event | None:
        head = await self._log.head(_stream(node))
        if head == START:
            return None
        (entry,) = await self._log.read(_stream(node), head - 1, 1)
        return entry.commit.events[-1] if entry.commit.events else None


def _stream(node: str) -> str:
    return f"{NODES}{node}"
