"""The client: waits for spans that are on their way, not longer, and says clearly what is wrong."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from observability.client import fetch_from_jaeger, fetch_trace
from observability.errors import MalformedTraceId, TracesUnavailable, UnknownTrace
from observability.jaeger import spans_from_jaeger
from observability.settling import Settling
from observability.spans import Span
from observability.tests.made import START_NS, TRACE, call, free_port, request, span, trace_id
from observability.tests.running import Running, a_jaeger, a_sink
from observability.tree import rows, tree


@pytest.fixture(scope="module")
def sink() -> Iterator[Running]:
    with a_sink() as running:
        yield running


WEB = httpx.Client()


def fresh(wanted: str) -> list[Span]:
    """A call that ended just now."""
    since_us = (time.time_ns() - START_NS) // 1000
    return [span(n, n - 1, "a", "now", since_us, since_us, trace_id=wanted) for n in range(1, 6)]


def test_spans_that_come_late_are_waited_for(sink: Running) -> None:
    def send() -> None:
        for late in reversed(fresh(trace_id(1))):  # the root comes last, as it does
            time.sleep(0.06)
            body = request([late]).SerializeToString()
            WEB.post(f"{sink.http}/v1/traces", content=body, headers={"content-type": "application/x-protobuf"})

    sender = threading.Thread(target=send)
    sender.start()
    assert len(fetch_trace(sink.http, trace_id(1))) == 5
    sender.join()


def test_an_unknown_trace_is_waited_for_no_longer_than_asked(sink: Running) -> None:
    began = time.monotonic()
    with pytest.raises(UnknownTrace, match="has no trace"):
        fetch_trace(sink.http, "a" * 32, wait_seconds=0.3)
    assert 0.3 <= time.monotonic() - began < 1


@pytest.mark.parametrize("text", ["", "xyz", "0" * 32, "a" * 31, "a" * 33, "g" * 32, "a" * 31 + "\n0", "../healthz"])
def test_a_malformed_id_is_not_even_asked_for(text: str) -> None:
    with pytest.raises(MalformedTraceId, match="32 hexadecimal digits"):
        fetch_trace("http://127.0.0.1:1", text)


def test_capitals_and_blanks_around_an_id_do_no_harm(sink: Running) -> None:
    with pytest.raises(UnknownTrace, match="abcdef" + "0" * 26):
        fetch_trace(sink.http, f" ABCDEF{'0' * 26}\n", wait_seconds=0)


def test_nobody_at_the_address_is_said_at_once() -> None:
    with pytest.raises(
        TracesUnavailable, match=r"the sink does not answer at http://127\.0\.0\.1:\d+: .*refused; is it running"
    ):
        fetch_trace(f"http://127.0.0.1:{free_port()}", TRACE)
    with pytest.raises(TracesUnavailable, match="asked by http"):
        fetch_trace("file:///etc/passwd", TRACE)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"spans": []}', b'{"data": [{"spans": [{}], "processes": {}}]}'])
def test_something_else_at_the_address_is_said(body: bytes) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", free_port()), Other) as other:
        threading.Thread(target=other.serve_forever, args=[0.01], daemon=True).start()
        base = f"http://127.0.0.1:{other.server_port}"
        with pytest.raises(TracesUnavailable, match="answers something else"):
            (fetch_from_jaeger if b"data" in body else fetch_trace)(base, TRACE, wait_seconds=0)
        other.shutdown()


def test_who_takes_the_connection_and_says_nothing_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observability.client.REQUEST_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", free_port()))
        silent.listen()
        with pytest.raises(TracesUnavailable, match="timed out"):
            fetch_trace(f"http://127.0.0.1:{silent.getsockname()[1]}", TRACE)


class TestSettling:
    """When waiting ends; `now` is an input."""

    def test_a_whole_trace_is_done_when_quiet(self) -> None:
        settling, spans = Settling(3, now=0), fresh(TRACE)
        assert not settling.done([], now=0.1)
        assert not settling.done(spans[:4], now=0.2)
        assert not settling.done(spans, now=0.3)
        assert not settling.done(spans, now=0.5)
        assert settling.done(spans, now=0.6)

    def test_a_trace_whose_root_is_elsewhere_is_done_after_a_second(self) -> None:
        settling, spans = Settling(3, now=0), fresh(TRACE)[1:]
        assert not settling.done(spans, now=0.1)
        assert not settling.done(spans, now=1.0)
        assert settling.done(spans, now=1.1)

    def test_nothing_is_waited_for_until_the_deadline(self) -> None:
        settling = Settling(3, now=0)
        assert not settling.done([], now=2.9)
        assert settling.done([], now=3)

    def test_an_old_trace_is_done_at_once(self) -> None:
        old = [span(1, 0, "a", "old", -(10**15), -(10**15))]
        assert Settling(3, now=0).done(old, now=0)


def test_ids_of_jaeger_get_their_leading_zeros_back() -> None:
    sent = {"traceID": "ab", "spanID": "1", "operationName": "x", "startTime": 5, "duration": 7, "processID": "p9"}
    sent |= {"references": [{"refType": "FOLLOWS_FROM", "traceID": "ab", "spanID": "3"}]}
    sent["references"].append({"refType": "CHILD_OF", "traceID": "ab", "spanID": "2"})  # type: ignore[attr-defined]
    (read,) = spans_from_jaeger(json.loads(json.dumps({"data": [{"spans": [sent], "processes": {}}]})))
    assert (read.trace_id, read.span_id, read.parent_id) == (f"{0xAB:032x}", f"{1:016x}", f"{2:016x}")
    assert (read.service, read.start_ns, read.end_ns) == ("unknown service", 5_000, 12_000)


@pytest.mark.tool("jaeger-all-in-one")
def test_a_real_jaeger_tells_the_same_tree_as_our_sink(sink: Running) -> None:
    import grpc
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

    failed = span(
        6, 4, "a", "failed", 1500, 1600, trace_id=trace_id(7), status="error", status_message="broken", kind="internal"
    )
    sent = [*call(trace_id(7)), failed]
    with a_jaeger() as jaeger:
        for address in (jaeger.grpc, sink.grpc):
            with grpc.insecure_channel(address) as channel:
                TraceServiceStub(channel).Export(request(sent), wait_for_ready=True, timeout=10)  # type: ignore[no-untyped-call]
        ours, theirs = fetch_trace(sink.http, trace_id(7)), fetch_from_jaeger(jaeger.http, trace_id(7))
        assert rows(tree(theirs)) == rows(tree(ours))
        with pytest.raises(UnknownTrace):
            fetch_from_jaeger(jaeger.http, "a" * 32, wait_seconds=0)
