"""What every adapter of the log promises (mesh/log/port.py). One suite for all of them."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import ConcurrentAppend, LogUnavailable, MeshError
from mesh.events import CallsLost
from mesh.log.memory import MemoryLog
from mesh.log.port import START, Commit, Entry, Log, Produced
from mesh.log.sqlite import SqliteLog
from mesh.tests.commits import call, commit

Open = Callable[[Path], Awaitable[Log]]


async def _memory(_directory: Path) -> Log:
    return MemoryLog()


ADAPTERS: dict[str, Open] = {"memory": _memory, "sqlite": SqliteLog.open}


@pytest.fixture(params=ADAPTERS)
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    log = await ADAPTERS[request.param](tmp_path)
    yield log
    await log.close()


async def test_positions_are_dense_and_each_stream_has_its_own(log: Log) -> None:
    streams = ("mesh", "calls/edge", "mesh", "nodes/edge", "mesh")
    assert [await log.append(stream, commit()) for stream in streams] == [1, 1, 2, 1, 3]
    assert await log.head("mesh") == 3


async def test_a_stream_that_nobody_wrote_is_empty(log: Log) -> None:
    assert await log.head("mesh") == START
    assert await log.read("mesh") == []
    assert await log.offset("calls/edge", "spool") == 0
    assert await log.names("") == []


async def test_the_tally_counts_events_by_type_and_the_calls_that_a_loss_declares(log: Log) -> None:
    await log.append("calls/edge", commit("c1", call("x"), call("y")), produced=Produced("spool", 7))
    await log.append(
        "calls/edge", commit("c1", call("x"), call("y")), produced=Produced("spool", 7)
    )  # it entered already
    await log.append("calls/edge", commit("c2", CallsLost(1, 2, 40, "disk full"), CallsLost(2, 3, 2, "disk full")))
    assert await log.tally("calls/edge") == {"CallAnswered": 2, "CallsLost": 42}
    assert await log.tally("calls/other") == {}


async def test_what_was_appended_is_read_as_it_was(log: Log) -> None:
    kept = commit("c1", call("x"), call("y"), command_id="k")
    await log.append("calls/edge", kept)
    assert await log.read("calls/edge") == [Entry("calls/edge", 1, kept)]


async def test_a_name_with_a_slash_at_its_end_means_every_stream_below_and_no_name_means_all(log: Log) -> None:
    for stream in ("nodes/edge", "calls/edge", "mesh", "nodes/a", "nodesx", "calls/b", "nodes"):
        await log.append(stream, commit(stream))
    assert await _streams(log, "nodes/") == ["nodes/a", "nodes/edge"]
    assert await _streams(log, "nodes") == ["nodes"]
    assert await _streams(log, "calls/") == ["calls/b", "calls/edge"]
    assert await _streams(log, "") == ["calls/b", "calls/edge", "mesh", "nodes", "nodes/a", "nodes/edge", "nodesx"]
    assert await log.names("nodes/") == ["nodes/a", "nodes/edge"]


async def test_reading_begins_after_a_position_in_each_stream_and_ends_at_the_limit(log: Log) -> None:
    for stream in ("nodes/a", "nodes/a", "nodes/a", "nodes/b", "nodes/b"):
        await log.append(stream, commit())
    entries = await log.read("nodes/", after=1, limit=3)
    assert [(entry.stream, entry.position) for entry in entries] == [("nodes/a", 2), ("nodes/a", 3), ("nodes/b", 2)]
    assert await log.read("nodes/", after=1, limit=0) == []


async def test_an_append_that_expects_another_head_is_refused_and_keeps_nothing(log: Log) -> None:
    await log.append("mesh", commit("first"), expect=START)
    with pytest.raises(ConcurrentAppend, match="mesh is at position 1, not at 0"):
        await log.append("mesh", commit("late"), expect=START)
    assert await log.head("mesh") == 1


async def test_of_many_who_expect_the_same_head_exactly_one_wins(log: Log) -> None:
    racing = [log.append("mesh", commit(str(number)), expect=START) for number in range(50)]
    outcomes = await asyncio.gather(*racing, return_exceptions=True)
    assert outcomes.count(1) == 1
    assert sum(isinstance(outcome, ConcurrentAppend) for outcome in outcomes) == 49


async def test_a_producers_offset_enters_once_however_often_it_is_sent(log: Log) -> None:
    for offset in (10, 10, 7, 20, 10):
        await log.append("calls/edge", commit(str(offset)), produced=Produced("spool", offset))
    assert [entry.commit.id for entry in await log.read("calls/edge")] == ["10", "20"]
    assert await log.offset("calls/edge", "spool") == 20


async def test_what_entered_already_is_answered_with_the_head_even_if_another_head_was_expected(log: Log) -> None:
    await log.append("calls/edge", commit(), produced=Produced("spool", 5))
    await log.append("calls/edge", commit())
    assert await log.append("calls/edge", commit(), expect=START, produced=Produced("spool", 5)) == 2


async def test_producers_and_streams_do_not_share_offsets(log: Log) -> None:
    await log.append("calls/edge", commit(), produced=Produced("one", 9))
    assert await log.append("calls/edge", commit(), produced=Produced("two", 3)) == 2
    assert await log.append("calls/other", commit(), produced=Produced("one", 3)) == 1


async def test_an_append_that_was_refused_does_not_move_the_producer(log: Log) -> None:
    with pytest.raises(ConcurrentAppend):
        await log.append("calls/edge", commit(), expect=4, produced=Produced("spool", 9))
    assert await log.offset("calls/edge", "spool") == 0


async def test_who_follows_gets_what_is_kept_and_then_each_commit_as_it_comes(log: Log) -> None:
    for number in range(3):
        await log.append("mesh", commit(str(number)))
    entries = log.follow("mesh", after=1)
    assert [(await anext(entries)).position for _ in range(2)] == [2, 3]
    waiting = asyncio.create_task(_next(entries))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await log.append("mesh", commit("news"))
    assert (await asyncio.wait_for(waiting, 1)).commit.id == "news"
    await entries.aclose()


async def test_who_follows_everything_hears_of_both_configuration_and_calls(log: Log) -> None:
    entries = log.follow("")
    for stream in ("mesh", "calls/edge", "nodes/edge"):
        waiting = asyncio.create_task(_next(entries))
        await asyncio.sleep(0.01)
        await log.append(stream, commit())
        assert (await asyncio.wait_for(waiting, 1)).stream == stream
    await entries.aclose()


async def test_many_followers_under_load_all_get_everything_in_order(log: Log) -> None:
    async def followed() -> list[int]:
        positions: list[int] = []
        entries = log.follow("calls/")
        async for entry in entries:
            positions.append(entry.position)
            if entry.position == 400:
                break
        await entries.aclose()
        return positions

    followers = [asyncio.create_task(followed()) for _ in range(3)]
    for _ in range(20):
        await asyncio.gather(*(log.append("calls/edge", commit()) for _ in range(20)))
    for positions in await asyncio.wait_for(asyncio.gather(*followers), 10):
        assert positions == list(range(1, 401))


async def test_a_closed_log_says_so_to_everyone_and_followers_end(log: Log) -> None:
    entries = log.follow("mesh")
    waiting = asyncio.create_task(_next(entries))
    await asyncio.sleep(0.05)
    await log.close()
    with pytest.raises(LogUnavailable, match="closed"):
        await asyncio.wait_for(waiting, 1)
    for asked in (log.append("mesh", commit()), log.read(""), log.head("mesh"), log.offset("mesh", "p"), log.names("")):
        with pytest.raises(LogUnavailable, match="closed"):
            await asked


class _Model:
    """The log, as simply as it can be said."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Commit]] = {}
        self.offsets: dict[tuple[str, str], int] = {}

    def append(self, stream: str, kept: Commit, expect: int | None, produced: Produced | None) -> int | type[MeshError]:
        commits = self.streams.get(stream, [])
        if produced and produced.offset <= self.offsets.get((stream, produced.producer), 0):
            return len(commits)
        if expect is not None and expect != len(commits):
            return ConcurrentAppend
        self.streams[stream] = [*commits, kept]
        if produced:
            self.offsets[stream, produced.producer] = produced.offset
        return len(commits) + 1


STREAMS = st.sampled_from(["mesh", "nodes/edge", "calls/edge", "calls/b"])
PRODUCED = st.builds(Produced, st.sampled_from(["one", "two"]), st.integers(0, 6))
APPENDS = st.tuples(STREAMS, st.none() | st.integers(0, 4), st.none() | PRODUCED)
ROUNDS = st.lists(st.lists(APPENDS, min_size=1, max_size=6), max_size=4)  # what is in one round is appended at once


@pytest.mark.parametrize("adapter", ADAPTERS)
@given(rounds=ROUNDS)
@settings(max_examples=40, deadline=None)
def test_whatever_is_appended_the_log_is_what_the_model_says(
    adapter: str, rounds: list[list[tuple[str, int | None, Produced | None]]]
) -> None:
    async def compared() -> None:
        model = _Model()
        with tempfile.TemporaryDirectory() as directory:
            log = await ADAPTERS[adapter](Path(directory))
            for number, appends in enumerate(rounds):
                await _append_to_both(log, model, number, appends)
            if adapter != "memory":
                await log.close()
                log = await ADAPTERS[adapter](Path(directory))  # what was kept outlives the process
            await _check_same(log, model)
            await log.close()

    asyncio.run(compared())


async def _append_to_both(
    log: Log, model: _Model, number: int, appends: list[tuple[str, int | None, Produced | None]]
) -> None:
    commits = [commit(f"{number}/{index}") for index in range(len(appends))]
    expected = [
        model.append(stream, kept, expect, produced)
        for kept, (stream, expect, produced) in zip(commits, appends, strict=True)
    ]
    racing = [
        log.append(stream, kept, expect=expect, produced=produced)
        for kept, (stream, expect, produced) in zip(commits, appends, strict=True)
    ]
    outcomes = await asyncio.gather(*racing, return_exceptions=True)
    assert [type(outcome) if isinstance(outcome, Exception) else outcome for outcome in outcomes] == expected


async def _check_same(log: Log, model: _Model) -> None:
    assert await log.names("") == sorted(model.streams)
    for stream, commits in model.streams.items():
        assert [entry.commit for entry in await log.read(stream)] == commits
        assert await log.head(stream) == len(commits)
    for (stream, producer), offset in model.offsets.items():
        assert await log.offset(stream, producer) == offset


async def _streams(log: Log, streams: str) -> list[str]:
    return [entry.stream for entry in await log.read(streams)]


async def _next(entries: AsyncIterator[Entry]) -> Entry:
    return await anext(entries)
