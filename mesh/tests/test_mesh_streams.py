"""Long streams delay nobody, and a client that leaves one leaves nothing behind."""

import asyncio
import json
import time

import psutil
import pytest

from mesh.tests.load import get
from mesh.tests.meshes import Mesh, until_async

pytestmark = pytest.mark.mesh


@pytest.mark.parametrize("path", ["grpc", "rest"])
async def test_a_short_call_is_answered_within_a_second_while_300_clients_hold_long_streams(
    mesh: Mesh, path: str
) -> None:
    port = getattr(mesh, path)
    held = [await asyncio.open_connection("localhost", port) for _ in range(300)]
    try:
        for _, writer in held:
            writer.write(b"GET /b/numbers?count=100&delay_ms=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.sleep(3.0)  # a value a second goes to each of them
        assert mesh.status()["calls"]["in_flight"] >= 300
        begun = time.monotonic()
        answer = await get(port, "/b/numbers?count=1")
        assert time.monotonic() - begun < 1.0
        assert answer.status == 200
        if path == "grpc":
            first = await asyncio.wait_for(held[-1][0].readuntil(b'{"value":1}'), 1)
            assert b" 200 " in first
    finally:
        for _, writer in held:
            writer.close()
    await until_async(lambda: mesh.status()["calls"]["in_flight"] == 0, 20)


async def test_a_client_that_leaves_a_stream_stops_the_loop_behind_it(mesh: Mesh) -> None:
    b = psutil.Process(mesh.pid("b-v1-1"))
    held = [await asyncio.open_connection("localhost", mesh.grpc) for _ in range(50)]
    for _, writer in held:
        writer.write(b"GET /b/numbers?count=10000&delay_ms=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.sleep(1.0)
    busy = await _share_of_a_core(b)
    for _, writer in held:
        writer.close()
    await asyncio.sleep(0.5)
    assert await _share_of_a_core(b) < busy / 5


async def test_a_stream_that_the_client_left_is_told_in_the_log(mesh: Mesh) -> None:
    """There is no StreamEnded, for nobody saw its end: CallFinished says that the client was gone."""
    reader, writer = await asyncio.open_connection("localhost", mesh.grpc)
    writer.write(b"GET /b/numbers?count=100&delay_ms=100 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    call_id = next(line.split(": ")[1] for line in head.split("\r\n") if line.startswith("x-request-id"))
    await reader.readuntil(b'{"value":3}')
    writer.close()

    def finished() -> list[str]:
        return [call["response_flags"] for call in mesh.calls("CallFinished") if call["call_id"] == call_id]

    assert "DC" in (await until_async(finished))[0]


def test_a_finished_stream_is_told_with_its_messages(mesh: Mesh) -> None:
    answer = asyncio.run(get(mesh.grpc, "/b/numbers?count=7"))
    assert len(json.loads(answer.body)) == 7
    ended = asyncio.run(
        until_async(lambda: [c for c in mesh.calls("StreamEnded") if c["call_id"] == answer.headers["x-request-id"]])
    )
    assert (ended[0]["messages"], ended[0]["bytes"], ended[0]["grpc_status"]) == (7, len(answer.body), 0)


async def _share_of_a_core(process: psutil.Process) -> float:
    process.cpu_percent()
    await asyncio.sleep(1.0)
    return float(process.cpu_percent())
