"""From the spool into the log: every record once, whatever dies and whatever is damaged."""

import asyncio
import itertools
import random
import time
from pathlib import Path

import msgpack
import pytest

from mesh.errors import ControlPlaneUnavailable
from mesh.events import CallAnswered, CallEvent, CallFinished, CallsLost
from mesh.journal import batches, shipper
from mesh.journal.shipper import Shipper
from mesh.journal.spool import END, encode
from mesh.tests.test_spool import ANSWERED

FIRST, SECOND = "rest-100-7f00-000001.spool", "rest-100-7f00-000002.spool"


def record(call_id: object) -> bytes:
    return encode(msgpack.packb(ANSWERED | {"call_id": str(call_id)}))


def line(call_id: object) -> bytes:
    return b'{"call_id":"%s"}\n' % str(call_id).encode()


class Ledger:
    """A log's stream that keeps what a log promises, and the trouble that one may have with reaching it."""

    def __init__(self, trouble: float = 0, seed: int = 0) -> None:
        self.events: list[CallEvent] = []
        self.offsets: dict[str, int] = {}
        self.trouble, self.random = trouble, random.Random(seed)
        self.on_the_way: list[tuple[tuple[CallEvent, ...], str, int]] = []

    async def append(self, stream: str, events: tuple[CallEvent, ...], producer: str, offset: int) -> None:
        assert stream == "calls/edge"
        await asyncio.sleep(0)
        if self.random.random() >= self.trouble:
            self._arrive()
            self._keep(events, producer, offset)
            return
        fate = self.random.choice(["lost", "kept, the answer lost", "kept later"])
        if fate == "kept later":
            self.on_the_way.append((events, producer, offset))
        elif fate != "lost":
            self._keep(events, producer, offset)
        raise ControlPlaneUnavailable("no answer")

    async def offset_of(self, stream: str, producer: str) -> int:
        known = self.offsets.get(producer, 0)
        if self.random.random() < 0.5:
            self._arrive()  # behind the question, before the next append
        return known

    def ids(self) -> list[str]:
        return [event.call_id for event in self.events if isinstance(event, CallAnswered)]

    def finished(self) -> list[str]:
        return [event.call_id for event in self.events if isinstance(event, CallFinished)]

    def lost(self) -> list[CallsLost]:
        return [event for event in self.events if isinstance(event, CallsLost)]

    def _arrive(self) -> None:
        while self.on_the_way:
            self._keep(*self.on_the_way.pop(0))

    def _keep(self, events: tuple[CallEvent, ...], producer: str, offset: int) -> None:
        if offset > self.offsets.get(producer, 0):
            self.events += events
            self.offsets[producer] = offset


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    (tmp_path / "0001").mkdir()
    return tmp_path


def shipping(spool: Path, ledger: Ledger) -> Shipper:
    return Shipper(spool, "calls/edge", ledger.append, ledger.offset_of)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


async def test_an_answered_call_is_in_the_log_within_a_third_of_a_second(spool: Path) -> None:
    ledger = Ledger()
    running = asyncio.create_task(shipping(spool, ledger).run())
    await asyncio.sleep(0.15)
    append(spool / "0001" / FIRST, record("a"))
    started = time.monotonic()
    while not ledger.ids():
        assert time.monotonic() - started < 0.3
        await asyncio.sleep(0.01)
    running.cancel()


@pytest.mark.parametrize("seed", range(15))
async def test_each_record_enters_once_though_answers_are_lost_appends_come_late_and_shippers_die(
    spool: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_EVENTS", 7)
    ledger, chance, numbers = Ledger(0.4, seed), random.Random(seed), itertools.count()
    one = shipping(spool, ledger)
    for _ in range(150):
        match chance.randrange(4):
            case 0:
                for _ in range(chance.randrange(20)):
                    append(spool / "0001" / chance.choice([FIRST, "grpc-1-2-000001.spool"]), record(next(numbers)))
            case 1:
                noise = chance.choice([b"", b"\n" * 10])
                append(spool / "0001" / "access.json", noise + line(next(numbers)))
            case 2 if chance.random() < 0.3:
                one = shipping(spool, ledger)
            case _:
                try:
                    await one.ship_once()
                except ControlPlaneUnavailable:
                    continue
    ledger.trouble = 0
    await shipping(spool, ledger).drain()
    assert sorted(map(int, ledger.ids() + ledger.finished())) == list(range(next(numbers)))


async def test_what_is_not_whole_is_waited_for_and_declared_when_nobody_can_complete_it(spool: Path) -> None:
    segment, ledger = spool / "0001" / FIRST, Ledger()
    append(segment, record("a") + record("b")[:40])
    await shipping(spool, ledger).drain()
    assert ledger.ids() == ["a"]
    append(segment, record("b")[40:] + record("c")[:-1])
    await shipping(spool, ledger).drain()
    assert (ledger.ids(), ledger.lost()) == (["a", "b"], [])

    (spool / "0002").mkdir()
    await shipping(spool, ledger).drain()
    (lost,) = ledger.lost()
    assert (lost.count, lost.from_us) == (1, 100)
    assert lost.to_us > 1_700_000_000_000_000
    assert f"0001/{FIRST}: {len(record('c')) - 1} bytes: cut off" in lost.reason
    assert [path.name for path in spool.iterdir() if path.is_dir()] == ["0002"]


async def test_damage_costs_the_rest_of_its_segment_and_nothing_else(spool: Path) -> None:
    damaged = bytearray(record("b"))
    damaged[30] ^= 1
    (spool / "0001" / FIRST).write_bytes(record("a") + damaged + record("c") + encode(END))
    (spool / "0001" / SECOND).write_bytes(record("d"))
    ledger, one = Ledger(), None
    for _ in range(2):
        one = shipping(spool, ledger)
        await one.drain()
    assert ledger.ids() == ["a", "d"]
    (lost,) = ledger.lost()
    assert lost.count == 3, "two records and the end: all that is known is that frames began there"
    assert "checksum" in lost.reason
    assert not (spool / "0001" / FIRST).exists()


async def test_a_record_that_cannot_be_understood_is_declared_and_the_next_is_kept(spool: Path) -> None:
    append(spool / "0001" / FIRST, record("a") + encode(msgpack.packb({"type": "OfTomorrow"})) + record("b"))
    ledger = Ledger()
    one = shipping(spool, ledger)
    await one.drain()
    assert ledger.ids() == ["a", "b"]
    assert [lost.count for lost in ledger.lost()] == [1]
    assert (one.books.answered, one.books.lost) == (2, 1)


async def test_what_is_shipped_and_over_is_removed_and_what_may_grow_is_kept(spool: Path) -> None:
    (spool / "0000").mkdir()
    append(spool / "0000" / FIRST, record("old"))
    append(spool / "0000" / "access.json", line("old") + b'{"call_id":"cut')
    append(spool / "0001" / FIRST, record("a") + encode(END))
    append(spool / "0001" / SECOND, record("b"))
    append(spool / "0001" / "grpc-5-7f00-000001.spool", record("c") + encode(END))
    ledger = Ledger()
    await shipping(spool, ledger).drain()
    assert sorted(ledger.ids()) == ["a", "b", "c", "old"]
    assert ledger.finished() == ["old"]
    assert [path.name for path in spool.iterdir() if path.is_dir()] == ["0001"]
    assert [path.name for path in (spool / "0001").iterdir()] == [SECOND]

    await shipping(spool, ledger).drain(envoy_gone=True)
    assert list((spool / "0001").iterdir()) == []


async def test_a_long_record_and_many_small_ones_are_taken_in_bounded_batches(spool: Path) -> None:
    long = encode(msgpack.packb(ANSWERED | {"call_id": "long", "request_body": bytes(900_000)}))
    many = b"".join(map(record, range(3000)))
    append(spool / "0001" / FIRST, many + long + record("after"))
    ledger, sizes = Ledger(), []

    async def measured(stream: str, events: tuple[CallEvent, ...], producer: str, offset: int) -> None:
        sizes.append(len(events))
        await ledger.append(stream, events, producer, offset)

    await Shipper(spool, "calls/edge", measured, ledger.offset_of).drain()
    assert len(ledger.ids()) == 3002
    assert max(sizes) == 1000


async def test_calls_are_let_gather_unless_more_than_a_batch_waits_already(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_EVENTS", 10)
    monkeypatch.setattr(shipper, "GATHER_SECONDS", 3_600.0)
    ledger = Ledger()
    append(spool / "0001" / FIRST, b"".join(record(n) for n in range(25)))
    running = asyncio.create_task(shipping(spool, ledger).run())
    async with asyncio.timeout(10):  # it would be an hour
        while len(ledger.ids()) < 25:
            await asyncio.sleep(0.01)
    append(spool / "0001" / FIRST, record("gathers"))
    await asyncio.sleep(0.1)
    assert "gathers" not in ledger.ids()
    running.cancel()


async def test_the_access_log_is_rotated_and_no_line_of_it_is_lost_or_taken_twice(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper, "ACCESS_LOG_BYTES", 400)
    monkeypatch.setattr(shipper, "REOPEN_SECONDS", 0)
    access_log, ledger, chance = spool / "0001" / "access.json", Ledger(), random.Random(1)
    envoy = access_log.open("ab", buffering=0)

    async def reopen_logs() -> None:
        nonlocal envoy
        if chance.random() < 0.3:
            raise ConnectionRefusedError
        envoy = access_log.open("ab", buffering=0)

    one = Shipper(spool, "calls/edge", ledger.append, ledger.offset_of, reopen_logs)
    for number in range(500):
        envoy.write(line(number))
        if chance.random() < 0.5:
            await one.ship_once()
        if chance.random() < 0.1:
            one = Shipper(spool, "calls/edge", ledger.append, ledger.offset_of, reopen_logs)
    await one.drain()
    assert list(map(int, ledger.finished())) == list(range(500))
    assert sum(path.stat().st_size for path in (spool / "0001").glob("access*")) < 2000


async def test_a_control_plane_that_is_away_is_waited_for_and_the_trouble_is_told(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper, "BACKOFF_SECONDS_MAX", 0.2)
    ledger = Ledger(trouble=1)
    one = shipping(spool, ledger)
    running = asyncio.create_task(one.run())
    for number in range(50):
        append(spool / "0001" / FIRST, record(number))
        await asyncio.sleep(0.01)
    assert one.trouble == "no answer"
    ledger.trouble = 0
    await asyncio.sleep(0.5)
    running.cancel()
    assert one.trouble == ""
    assert list(map(int, ledger.ids())) == list(range(50))


async def test_before_the_first_edge_there_is_nothing_to_ship(tmp_path: Path) -> None:
    await shipping(tmp_path / "not made yet", Ledger()).drain()
