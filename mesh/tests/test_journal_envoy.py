"""The journal in a real Envoy: what it writes down, when, and that nothing which dies takes an answered call with it."""

import asyncio
import contextlib
import itertools
import resource
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh.events import CallAnswered, CallFinished
from mesh.journal import shipper
from mesh.journal.accesslog import call_finished
from mesh.journal.program import journal_module
from mesh.journal.shipper import Shipper
from mesh.journal.spool import END, encode
from mesh.log.sqlite import SqliteLog
from mesh.tests.journaled import POSITION, JournaledEnvoy, get, records
from mesh.tests.shipping_process import STREAM
from mesh.tests.test_shipper import Ledger
from mesh.tests.upstream import Upstream, number, upstream


@pytest.fixture
async def behind() -> AsyncIterator[Upstream]:
    async with upstream() as running:
        yield running


@pytest.fixture
async def envoy(tmp_path: Path, behind: Upstream) -> AsyncIterator[JournaledEnvoy]:
    running = JournaledEnvoy(tmp_path / "envoy", behind)
    await running.start()
    try:
        yield running
    finally:
        running.kill()


def of_path(envoy: JournaledEnvoy, path: str, kind: str = "CallAnswered") -> dict[str, Any]:
    """The one record of this kind about the call of `path`."""
    everything = records(envoy.spools)
    (answered,) = [each for each in everything if each["type"] == "CallAnswered" and each["path"] == path]
    (found,) = [each for each in everything if each["type"] == kind and each["call_id"] == answered["call_id"]]
    return found


async def test_an_answered_call_is_written_down_with_every_guaranteed_field(envoy: JournaledEnvoy) -> None:
    before = time.time_ns() // 1000
    status, _ = await get(
        envoy.rest,
        "/hello?name=Jo%C3%A3o",
        "accept: application/json",
        "x-trace: 4bf9",
        method="POST",
        body=b"\x00ol\xff",
    )
    record = of_path(envoy, "/hello?name=Jo%C3%A3o")
    assert status == 200
    assert before <= record.pop("started_at_us") <= record.pop("answered_at_us") <= time.time_ns() // 1000
    assert len(record.pop("call_id")) == 36
    assert record == {
        "type": "CallAnswered",
        "trace_id": "4bf9",
        "position": POSITION,
        "asked": "rest",
        "method": "POST",
        "path": "/hello?name=Jo%C3%A3o",
        "service": "a",
        "version": "v1",
        "http_status": 200,
        "grpc_status": None,
        "streaming": False,
        "request_headers": {"accept": "application/json"},
        "request_body": b"\x00ol\xff",
        "request_body_bytes": 4,
    }


@pytest.mark.parametrize(
    ("path", "method", "http_status", "service"),
    [("/nowhere", "GET", 404, ""), ("/down", "GET", 503, "a"), ("/hello", "HEAD", 200, "a")],
)
async def test_answers_without_an_upstream_and_without_a_body_are_calls_too(
    envoy: JournaledEnvoy, path: str, method: str, http_status: int, service: str
) -> None:
    status, _ = await get(envoy.rest, path, method=method)
    record = of_path(envoy, path)
    assert status == record["http_status"] == http_status
    assert (record["service"], record["position"], record["streaming"]) == (service, POSITION, False)


async def test_a_request_that_cannot_be_parsed_is_recorded_with_what_is_known(envoy: JournaledEnvoy) -> None:
    status, _ = await get(envoy.rest, "/not a path")
    (record,) = records(envoy.spools)
    assert status == record["http_status"] == 400
    assert (record["path"], record["request_body"]) == ("", b"")
    assert record["call_id"].startswith("unread-")  # Envoy gave it none


async def test_the_record_is_on_disk_before_the_client_has_the_answer(envoy: JournaledEnvoy) -> None:
    for turn in range(30):
        await get(envoy.rest, f"/hello?{turn}")
        assert of_path(envoy, f"/hello?{turn}")["http_status"] == 200
    await get(envoy.rest, "/lines")
    assert of_path(envoy, "/lines", "StreamEnded")["messages"] == 3


@pytest.mark.parametrize(
    ("path", "messages", "size"),
    [("/array", 3, 33), ("/object", 1, 18), ("/lines", 3, 36), ("/events", 3, 27), ("/page", 0, 7)],
)
async def test_messages_of_a_stream_are_counted_across_the_borders_of_chunks(
    envoy: JournaledEnvoy, path: str, messages: int, size: int
) -> None:
    await get(envoy.rest, path)
    ended = of_path(envoy, path, "StreamEnded")
    assert of_path(envoy, path)["streaming"]
    assert (ended["messages"], ended["bytes"], ended["grpc_status"], ended["position"]) == (
        messages,
        size,
        None,
        POSITION,
    )


async def test_transcoded_calls_tell_both_statuses(envoy: JournaledEnvoy) -> None:
    assert await get(envoy.grpc, "/a/hello?name=x") == (200, b'{"message":"hi"}')
    hello = of_path(envoy, "/a/hello?name=x")
    assert (hello["asked"], hello["http_status"], hello["grpc_status"], hello["streaming"]) == ("grpc", 200, 0, False)
    await get(envoy.grpc, "/b/numbers")
    ended = of_path(envoy, "/b/numbers", "StreamEnded")
    assert (ended["messages"], ended["grpc_status"]) == (3, 0)
    await get(envoy.grpc, "/b/numbers?count=3")
    assert of_path(envoy, "/b/numbers?count=3", "StreamEnded")["grpc_status"] == 13, "it failed in the middle"


async def test_native_grpc_messages_are_counted_and_the_trailers_status_is_kept(envoy: JournaledEnvoy) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{envoy.grpc}") as channel:
        numbers: Any = channel.unary_stream("/pspd.ServiceB/StreamNumbers")
        assert [each async for each in numbers(b"")] == [number(1), number(2), number(3)]
        ended = of_path(envoy, "/pspd.ServiceB/StreamNumbers", "StreamEnded")
        assert (ended["messages"], ended["bytes"], ended["grpc_status"]) == (3, 21, 0)
        nothing: Any = channel.unary_unary("/pspd.ServiceA/Nothing")
        with pytest.raises(grpc.aio.AioRpcError):
            await nothing(b"\x08\x01")
    refused = of_path(envoy, "/pspd.ServiceA/Nothing")
    assert (refused["grpc_status"], refused["streaming"]) == (12, False), "there is no such method: trailers only"
    assert refused["request_body"] == b"\0\0\0\0\2\x08\x01"
    assert refused["request_headers"]["content-type"] == "application/grpc"


async def test_chunks_are_not_held_back(envoy: JournaledEnvoy) -> None:
    """Upstream sends five chunks 100 ms apart; the first must be here long before the last is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", envoy.rest)
    started = time.monotonic()
    writer.write(b"GET /array HTTP/1.1\r\nhost: test\r\n\r\n")
    arrivals = []
    for mark in (b'[{"a":"],[', b'\\"x,y"},', b'{"b":[1,2]},', b"3 ", b"]"):
        await reader.readuntil(mark + b"\r\n")
        arrivals.append(time.monotonic() - started)
    writer.close()
    assert arrivals[0] < 0.1
    assert all(0.05 < later - earlier < 0.2 for earlier, later in itertools.pairwise(arrivals))


async def test_a_client_that_leaves_has_no_end_of_stream_but_the_access_log_tells(envoy: JournaledEnvoy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", envoy.rest)
    writer.write(b"GET /array HTTP/1.1\r\nhost: test\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    await get(envoy.rest, "/cut")
    await asyncio.sleep(0.5)
    finished = {}
    for line in (envoy.spool / "access.json").read_bytes().splitlines():
        if event := call_finished(line):
            finished[event.call_id] = event
    gone, cut = finished[of_path(envoy, "/array")["call_id"]], finished[of_path(envoy, "/cut")["call_id"]]
    assert (gone.response_flags, gone.attempts, gone.workload) == ("DC", 1, f"127.0.0.1:{envoy.upstream.http_port}")
    assert gone.duration_us > 0
    assert cut.response_flags in {"UC", "UPE"}, "upstream closed in the middle of a chunked body"
    assert {each["type"] for each in records(envoy.spools)} == {"CallAnswered"}


async def test_secrets_and_what_is_not_asked_for_are_never_written(envoy: JournaledEnvoy) -> None:
    await get(envoy.rest, "/hello", "authorization: Bearer s3cret", "cookie: s3cret", "x-api-key: s3cret")
    await asyncio.sleep(0.3)
    for path in envoy.spool.iterdir():
        assert b"s3cret" not in path.read_bytes()
        if path.suffix == ".spool":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_long_bodies_and_paths_are_cut_and_full_segments_closed(envoy: JournaledEnvoy) -> None:
    """17 MiB of bodies through one worker (one connection): its first segment is ended, and a second one begun."""
    body = b"x" * 100_000
    reader, writer = await asyncio.open_connection("127.0.0.1", envoy.rest)
    for turn in range(280):
        writer.write(f"POST /hello?{turn} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        await reader.readuntil(b"\r\n\r\n{}")
    writer.close()
    first, second = sorted(envoy.spool.glob("rest-*.spool"))
    assert first.name.endswith("-000001.spool")
    assert first.read_bytes().endswith(encode(END))
    assert second.name == first.name.replace("-000001", "-000002")
    found = records(envoy.spool)
    assert [each["path"] for each in found] == [f"/hello?{turn}" for turn in range(280)]
    assert {(len(each["request_body"]), each["request_body_bytes"]) for each in found} == {(65536, 100_000)}


async def test_both_workers_keep_segments_of_their_own_and_an_orderly_end_closes_them(envoy: JournaledEnvoy) -> None:
    calls = 0
    while calls < 2_000 and len(list(envoy.spool.glob("*.spool"))) < 2:  # the kernel wakes whichever worker it likes
        await asyncio.gather(*(get(envoy.rest, f"/array?{turn}") for turn in range(40)))
        calls += 40
    envoy.terminate()
    segments = list(envoy.spool.glob("*.spool"))
    assert len(segments) == 2
    assert all(segment.read_bytes().endswith(encode(END)) for segment in segments)
    assert len(records(envoy.spool)) == 2 * calls


def calls_accounted_for(found: list[dict[str, Any]]) -> int:
    """Recorded whole, or declared lost. A recorded stream whose end is lost stands in both figures, and counts once."""
    kinds = Counter(each["type"] for each in found)
    lost: int = sum(each["count"] for each in found if each["type"] == "CallsLost")
    return kinds["StreamEnded"] + lost


async def test_a_call_is_answered_though_it_cannot_be_recorded_and_is_declared_when_there_is_room_again(
    envoy: JournaledEnvoy,
) -> None:
    """A limit on the size of Envoy's files stands for the full disk: a write that crosses it is torn, the next one fails."""
    assert envoy.process is not None
    await asyncio.gather(*(get(envoy.rest, f"/array?before{turn}") for turn in range(20)))
    written = max(segment.stat().st_size for segment in envoy.spool.glob("*.spool"))
    _, hard = resource.prlimit(envoy.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(envoy.process.pid, resource.RLIMIT_FSIZE, (100, hard))
    answers = await asyncio.gather(*(get(envoy.rest, f"/array?full{turn}") for turn in range(50)))
    assert {status for status, _ in answers} == {200}
    resource.prlimit(envoy.process.pid, resource.RLIMIT_FSIZE, (written + 500, hard))  # some fit, some are torn
    await asyncio.gather(*(get(envoy.rest, f"/array?tight{turn}") for turn in range(50)))
    resource.prlimit(envoy.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    made, accounted, found = 120, 0, []
    while (
        accounted != made and made < 1_120
    ):  # a worker declares with its next call, and the kernel wakes whichever it likes
        await asyncio.gather(*(get(envoy.rest, f"/array?after{made + one}") for one in range(20)))
        made += 20
        found = records(envoy.spool)  # raises if a torn write was left in a segment
        accounted = calls_accounted_for(found)
    assert accounted == made, "a call is lost once, with its end"

    answered = [each["path"] for each in found if each["type"] == "CallAnswered"]
    lost = [each for each in found if each["type"] == "CallsLost"]
    assert Counter(answered).most_common(1)[0][1] == 1
    assert {f"/array?after{120 + one}" for one in range(20)} <= set(answered)
    assert not {path for path in answered if "full" in path}
    assert all(each["from_us"] <= each["to_us"] for each in lost)
    assert {each["reason"] for each in lost} <= {"write: File too large", "write: short write"}
    assert 1 <= envoy.log().count("[error][lua]") <= 2, "one line a minute and worker (the limit cuts them, too)"


# What dies


class Load:
    """Clients that ask with unique ids, and remember which answers they have read to the end."""

    def __init__(self, port: int, clients: int) -> None:
        self.port, self.acknowledged = port, list[str]()
        self._tasks = [asyncio.create_task(self._client(each)) for each in range(clients)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _client(self, client: int) -> None:
        turn = 0
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                while True:
                    turn += 1
                    writer.write(f"GET /hello?id={client}.{turn} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                    head = await reader.readuntil(b"\r\n\r\n{}")
                    if head.startswith(b"HTTP/1.1 200"):
                        self.acknowledged.append(f"/hello?id={client}.{turn}")
            await asyncio.sleep(0.01)


async def test_no_answered_call_is_missing_or_twice_in_the_log_however_often_envoy_and_the_shipper_are_killed(
    envoy: JournaledEnvoy, tmp_path: Path
) -> None:
    def ship() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "mesh.tests.shipping_process", str(envoy.spools), str(tmp_path / "log")]
        return subprocess.Popen(command, cwd=Path(__file__).parents[2])

    load, killed = Load(envoy.rest, clients=8), ship()
    try:
        for pause_seconds in (0.9, 0.5, 0.7, 0.4, 0.8, 0.6):
            await asyncio.sleep(pause_seconds)
            killed.kill()
            killed.wait()
            killed = ship()
            if pause_seconds > 0.5:
                envoy.kill()
                await envoy.start()
        await asyncio.sleep(0.5)
        await load.stop()
        envoy.terminate()
        await _until(lambda: not list(envoy.spools.glob("*/*.spool")))
        await asyncio.sleep(0.3)  # the access log, which is best effort
    finally:
        await load.stop()
        killed.kill()
        killed.wait()
    log = await SqliteLog.open(tmp_path / "log")
    events = [event for entry in await log.read(STREAM) for event in entry.commit.events]
    await log.close()
    answered = Counter(event.path for event in events if isinstance(event, CallAnswered))
    finished = Counter(event.call_id for event in events if isinstance(event, CallFinished))
    assert len(load.acknowledged) > 500
    assert [path for path in load.acknowledged if answered[path] != 1] == []
    assert max(answered.values()) == max(finished.values()) == 1


async def test_the_access_log_of_a_running_envoy_is_rotated_and_no_line_of_it_is_missing(
    envoy: JournaledEnvoy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipper, "ACCESS_LOG_BYTES", 2000)
    monkeypatch.setattr(shipper, "REOPEN_SECONDS", 0)
    ledger, calls = Ledger(), 200
    shipping = Shipper(envoy.spools, "calls/edge", ledger.append, ledger.offset_of, envoy.reopen_logs)
    running = asyncio.create_task(shipping.run())
    for turn in range(calls):
        await get(envoy.rest, f"/hello?{turn}")
        await asyncio.sleep(0.005)
    await _until(lambda: len(ledger.finished()) >= calls)
    running.cancel()
    assert sorted(ledger.finished()) == sorted(ledger.ids())
    assert len(ledger.finished()) == calls
    rotated = [name for name in ledger.offsets if "access-" in name]
    assert len(rotated) > 3, "otherwise nothing was rotated"


async def _until(holds: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_the_name_of_a_path_cannot_become_code() -> None:
    with pytest.raises(ValueError, match="short word"):
        journal_module('x" os.exit() --')
