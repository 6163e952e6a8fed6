"""What the REST twins promise beside their answers: errors in one form, bounds, cancellation."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import httpx
import pytest
from sanic import Sanic

from services.address import Address
from services.b_rest import numbers_after_their_pauses
from services.process import Options
from services.rest import RestServer, started
from services.tests.running import Started, a_port

_NAMES = (f"rest-{number}" for number in count())  # Sanic wants one for each


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, 5),
        ("GET", "/a/hello/", 404, 5),
        ("GET", "//a/hello", 404, 5),
        ("GET", "/b/numbers", 404, 5),
        ("POST", "/a/hello", 405, 12),
        ("DELETE", "/a/hello", 405, 12),
        ("GET", "/a/hello?foo=1", 400, 3),
        ("GET", "/a/hello?name=%FF", 400, 3),
        ("GET", "/a/hello?name=" + "x" * 60_000, 400, 3),
    ],
)
def test_every_error_is_json_of_one_form(a_rest: Started, method: str, path: str, status: int, code: int) -> None:
    answer = httpx.request(method, f"{a_rest.url}{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    body = answer.json()
    assert list(body) == ["code", "message", "details"]
    assert body["code"] == code
    assert body["message"]


def test_a_wrong_method_is_told_the_right_one(a_rest: Started) -> None:
    answer = httpx.head(f"{a_rest.url}/a/hello")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "GET", b"")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"GET /a/hello?name=" + b"x" * 98_304 + b" HTTP/1.1\r\n\r\n", 413),
        (b"GET /a/hello HTTP/9.9\r\n\r\n", 400),
        (b"GET /a/hello?name=\xc3\xa9 HTTP/1.1\r\n\r\n", 400),
        (b"GET /a/hello HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
        (b"GET /a/hello HTTP/1.1\r\nexpect: tea\r\ncontent-length: 1\r\n\r\n", 417),
        (b"GET /a/hello HTTP/1.1\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 1_000, 413),
        (b"GET /a/hello HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_what_is_not_http_as_it_should_be_gets_the_same_form(a_rest: Started, sent: bytes, status: int) -> None:
    with socket.create_connection(_host_and_port(a_rest.address), timeout=5) as client:
        client.sendall(sent)
        head, _, body = _until_closed(client).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert b"content-type: application/json" in head
    assert json.loads(body)["details"] == []


def test_the_body_of_a_get_is_ignored_and_the_connection_lives_on(a_rest: Started) -> None:
    with httpx.Client() as client:
        for _ in range(2):
            answer = client.request("GET", f"{a_rest.url}/a/hello?name=X", content=b"x" * 10_000)
            assert answer.json() == {"message": "Olá, X! [A-REST]"}
            assert answer.headers["connection"] == "keep-alive"


async def _failing(_: str, __: bytes) -> dict[str, Any]:
    raise RuntimeError("the password is 1234")


async def test_what_nobody_expected_is_not_told_but_logged(caplog: pytest.LogCaptureFixture) -> None:
    server = await started(next(_NAMES), "/a/hello", _failing, _options(), None)
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{server.address}/a/hello")
    await server.end()
    assert (answer.status_code, answer.json()) == (500, {"code": 13, "message": "internal error", "details": []})
    assert "1234" in caplog.text


async def test_a_client_that_leaves_ends_the_loop_at_once(own_b: RestServer) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(f"http://{own_b.address}/b/numbers?count=300&delay_ms=1000", timeout=0.2)
    await asyncio.wait_for(own_b.places.empty(), 0.5)


async def test_calls_over_the_bound_are_told_so_and_health_answers_still() -> None:
    server = await _own_b(calls_max=2)
    url = f"http://{server.address}"
    async with httpx.AsyncClient() as client:
        slow = f"{url}/b/numbers?count=2&delay_ms=60000"
        first = [asyncio.create_task(client.get(slow, timeout=60)) for _ in range(2)]
        while server.places.taken < 2:
            await asyncio.sleep(0.01)
        refused = await client.get(f"{url}/b/numbers")
        healthy = await client.get(f"{url}/healthz")
        for call in first:
            call.cancel()
        await asyncio.wait(first)
        await asyncio.wait_for(server.places.empty(), 0.5)
        again = await client.get(f"{url}/b/numbers?count=1")
    await server.end()
    sentence = "2 calls are being answered already, and no more are at once; try again"
    assert (refused.status_code, refused.json()) == (429, {"code": 8, "message": sentence, "details": []})
    assert (healthy.status_code, healthy.json()) == (200, {"status": "SERVING"})
    assert again.json() == {"values": [1]}


async def test_while_draining_health_says_so_on_connections_that_live() -> None:
    server = await _own_b(calls_max=2)
    reader, writer = await asyncio.open_connection(*_host_and_port(str(server.address)))
    writer.write(b"GET /b/numbers?count=1&delay_ms=200 HTTP/1.1\r\n\r\n")
    while not server.places.taken:
        await asyncio.sleep(0.01)
    drained = asyncio.create_task(server.drain())
    answer = await reader.read()  # to the end: it is the last of its connection
    await asyncio.wait_for(drained, 1)
    await server.end()
    assert b"connection: close" in answer
    assert answer.endswith(b'{"values":[1]}')


@pytest.fixture
async def own_b() -> AsyncIterator[RestServer]:
    server = await _own_b(calls_max=100)
    yield server
    await server.end()


@pytest.fixture(autouse=True)
def _several_apps_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sanic, "test_mode", True)  # Sanic rewrites its own classes at start, outside of it only once


async def _own_b(calls_max: int) -> RestServer:
    return await started(next(_NAMES), "/b/numbers", numbers_after_their_pauses, _options(calls_max), None)


def _options(calls_max: int = 100) -> Options:
    return Options(Address("127.0.0.1", a_port()), 5, calls_max)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.partition(":")
    return host, int(port)


def _until_closed(client: socket.socket) -> bytes:
    received = b""
    while data := client.recv(65_536):
        received += data
    return received
