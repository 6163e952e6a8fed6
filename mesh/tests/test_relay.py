"""What nodes answered reaches the record, whatever log and disk are doing meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import LogUnavailable
from mesh.xds import relay
from mesh.xds.delta import Rejection
from mesh.xds.relay import Relay
from mesh.xds.snapshot import Snapshot
from mesh.xds.store import SnapshotStore

FIRST, SECOND = (Snapshot("edge", "edge", "spiffe://x/edge", position, ()) for position in (1, 2))


class Record:
    """Takes answers; each of `failures` keeps it from taking one."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.said: list[tuple[Any, ...]] = []

    async def __call__(self, *said: Any) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.said.append(said)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(relay, "STOP_SECONDS", 0.2)


@asynccontextmanager
async def working(record: Record, store: SnapshotStore | None = None) -> AsyncIterator[Relay]:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    failures = len({str(failure) for failure in record.failures})
    working = Relay(store, record, record)
    working.start()
    yield working
    await working.stop()
    assert len(complaints) == failures


async def test_an_answer_that_the_log_cannot_take_is_handed_on_again_and_before_those_that_came_later() -> None:
    record = Record(LogUnavailable("the disk is full"), LogUnavailable("the disk is full"))
    async with working(record) as hands_on:
        hands_on.rejected(Rejection(FIRST, "type", "no"))
        hands_on.accepted(SECOND)
    assert record.said == [("edge", 1, "type", "no"), ("edge", 2, SECOND.digest)]


async def test_a_snapshot_is_stored_when_its_acceptance_was_recorded(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    async with working(Record(), store) as hands_on:
        hands_on.accepted(FIRST)
    assert store.load() == {"edge": FIRST}


async def test_a_log_that_takes_nothing_holds_no_end_up_and_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    async with working(Record(*[LogUnavailable("the disk is full")] * 1_000), store) as hands_on:
        hands_on.accepted(FIRST)
    assert store.load() == {}


async def test_a_mistake_costs_one_answer_and_not_the_next() -> None:
    record = Record(TypeError("a mistake"))
    async with working(record) as hands_on:
        hands_on.accepted(FIRST)
        hands_on.accepted(SECOND)
    assert record.said == [("edge", 2, SECOND.digest)]
