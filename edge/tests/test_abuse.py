"""While somebody misbehaves, whoever does not is served, and the edge's memory stays where it was. On both paths."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge.tests.conftest import SHORT
from edge.tests.rude import STREAMS_MAX, connected, get, is_refused, raw, resets_until_thrown_out
from edge.tests.running import Curled, RunningEdge, curl

PATHS = ("grpc", "rest")
MEBIBYTE = 1_048_576
GROWTH_BYTES_MAX = 32 * MEBIBYTE

pytestmark = pytest.mark.parametrize("asked", PATHS)


def test_slow_clients(misled: RunningEdge, asked: str) -> None:
    with unharmed(misled, asked):
        slow = [connected(misled, asked) for _ in range(300)]
        for client in slow:
            client.sendall(b"GET /a/hello HTTP/1.1\r\nhost: x\r\n")
        for client in slow:
            assert client.recv(12) == b"HTTP/1.1 408"
            client.close()


def test_clients_that_open_and_reset_streams_without_end(misled: RunningEdge, asked: str) -> None:
    with unharmed(misled, asked):
        for _ in range(5):
            assert resets_until_thrown_out(misled, asked) < STREAMS_MAX


def test_http2_header_bombs(misled: RunningEdge, asked: str) -> None:
    """4 kB in HPACK's table, named a thousand times: 5 kB on the wire, 4 MB for who believes it."""
    with unharmed(misled, asked):
        for _ in range(50):
            assert is_refused(misled, asked, get(*[("x-bomb", "y" * 3_900)] * 1_000))


def test_http2_headers_without_number(misled: RunningEdge, asked: str) -> None:
    with unharmed(misled, asked):
        for _ in range(50):
            assert is_refused(misled, asked, get(*[(f"x-{number}", "y") for number in range(200)]))


def test_bodies_over_the_limit(misled: RunningEdge, asked: str) -> None:
    head = b"GET /a/hello HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n"
    with unharmed(misled, asked):
        for _ in range(50):
            raw(misled, asked, head + b"x" * 2 * SHORT.request_body_bytes)


@contextmanager
def unharmed(edge: RunningEdge, asked: str) -> Iterator[None]:
    """Meanwhile another client calls without end: every call succeeds; at the end, memory is what it was."""
    before = _memory_bytes(edge)
    over = threading.Event()
    answers: list[Curled] = []

    def call() -> None:
        while not over.is_set():
            answers.append(curl(f"http://127.0.0.1:{getattr(edge.ports, asked)}/a/hello", "--max-time", "2"))

    other = threading.Thread(target=call)
    other.start()
    try:
        yield
    finally:
        over.set()
        other.join()
    assert answers
    assert [answer for answer in answers if answer.status != 200] == []
    assert _memory_bytes(edge) < before + GROWTH_BYTES_MAX


def _memory_bytes(edge: RunningEdge) -> int:
    return edge.stats("server.memory_allocated")["server.memory_allocated"]
