"""Spans of Python servers: for sampled calls only, in the caller's trace, as long as the whole answer. Ports 22400 to 22499."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from time import monotonic
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sanic import HTTPResponse, Request, Sanic
from sanic.response import json as as_json

from observability.grpc_spans import GrpcSpans
from observability.http_spans import add_spans
from observability.telemetry import TelemetryUnusable, Tracing, is_sampled, parent, tracing

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"
_PORTS, _NAMES = count(22_400), (f"spans-{number}" for number in count())


class Spans:
    """What one server has sent."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing("pspd-x", self._exporter)

    def all(self) -> list[ReadableSpan]:
        self.tracing.close()
        return list(self._exporter.get_finished_spans())

    def one(self) -> ReadableSpan:
        (span,) = self.all()
        assert span.context
        assert span.parent
        assert f"{span.context.trace_id:032x}" == TRACE
        assert f"{span.parent.span_id:016x}" == CALLER
        assert span.kind is SpanKind.SERVER
        assert span.resource.attributes["service.name"] == "pspd-x"
        return span


def seconds(span: ReadableSpan) -> float:
    assert span.end_time
    assert span.start_time
    return (span.end_time - span.start_time) / 1e9


# What is sampled


@pytest.mark.parametrize(
    ("traceparent", "sampled"),
    [(SAMPLED, True), (NOT_SAMPLED, False), (SAMPLED[:-2] + "03", True), (SAMPLED[:-2] + "02", False), ("", False)],
)
def test_the_last_bit_of_the_flags_says_whether_a_call_is_sampled(traceparent: str, sampled: bool) -> None:
    assert is_sampled(traceparent) is sampled


@pytest.mark.parametrize(
    "traceparent",
    [f"00-{'0' * 32}-{CALLER}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{CALLER}-01", "x" * 54 + "1"],
)
def test_what_w3c_does_not_allow_has_no_parent(traceparent: str) -> None:
    assert is_sampled(traceparent)  # the cheap look is not the whole check
    assert parent(traceparent) is None


@given(st.text(max_size=80))
def test_no_header_whatever_does_more_than_be_ignored(traceparent: str) -> None:
    if is_sampled(traceparent):
        parent(traceparent)


# grpc.aio


async def _unary(request: bytes, context: Any) -> bytes:
    if request == b"abort":
        await context.abort(grpc.StatusCode.NOT_FOUND, "nobody is called so")
    if request == b"unavailable":
        await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
    if request == b"raise":
        raise RuntimeError("broken")
    if request == b"wait":
        await asyncio.sleep(10)
    return request


async def _stream(request: bytes, _: Any) -> AsyncIterator[bytes]:
    for _ in range(5):
        yield request
        await asyncio.sleep(0.05)


@asynccontextmanager
async def grpc_server(spans: Spans) -> AsyncIterator[Any]:
    server = grpc.aio.server(interceptors=[GrpcSpans(spans.tracing.tracer)])
    methods: Any = {
        "Unary": grpc.unary_unary_rpc_method_handler(_unary),
        "Stream": grpc.unary_stream_rpc_method_handler(_stream),
        "Echo": grpc.stream_stream_rpc_method_handler(_echo),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pspd.X", methods),))
    address = f"127.0.0.1:{next(_PORTS)}"
    server.add_insecure_port(address)
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel:
        yield channel
    await server.stop(1)


async def _echo(requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def test_a_sampled_call_has_a_span_by_the_conventions_for_rpc() -> None:
    spans = Spans()
    async with grpc_server(spans) as channel:
        metadata = (("traceparent", SAMPLED), ("tracestate", "vendor=1"))
        assert await channel.unary_unary("/pspd.X/Unary")(b"x", metadata=metadata) == b"x"
    span = spans.one()
    assert span.name == "pspd.X/Unary"
    assert span.context
    assert span.context.trace_state.get("vendor") == "1"
    assert dict(span.attributes or {}) == {
        "rpc.system.name": "grpc",
        "rpc.method": "pspd.X/Unary",
        "rpc.response.status_code": "OK",
    }


def test_attributes_are_those_that_the_installed_conventions_know() -> None:
    from opentelemetry.semconv._incubating.attributes import rpc_attributes

    known = (rpc_attributes.RPC_SYSTEM_NAME, rpc_attributes.RPC_METHOD, rpc_attributes.RPC_RESPONSE_STATUS_CODE)
    assert known == ("rpc.system.name", "rpc.method", "rpc.response.status_code")


@pytest.mark.parametrize("metadata", [(), (("traceparent", NOT_SAMPLED),), (("traceparent", "rubbish"),)])
async def test_a_call_that_is_not_sampled_has_none(metadata: Any) -> None:
    spans = Spans()
    async with grpc_server(spans) as channel:
        await channel.unary_unary("/pspd.X/Unary")(b"x", metadata=metadata)
        assert len([_ async for _ in channel.unary_stream("/pspd.X/Stream")(b"x", metadata=metadata)]) == 5
    assert spans.all() == []


async def test_the_span_of_a_stream_lasts_until_its_end() -> None:
    spans = Spans()
    async with grpc_server(spans) as channel:
        replies = channel.unary_stream("/pspd.X/Stream")(b"x", metadata=(("traceparent", SAMPLED),))
        assert len([reply async for reply in replies]) == 5
    assert seconds(spans.one()) >= 0.25


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [(b"abort", "NOT_FOUND", False), (b"unavailable", "UNAVAILABLE", True), (b"raise", "UNKNOWN", True)],
)
async def test_a_call_that_fails_says_how(request_: bytes, status: str, error: bool) -> None:
    spans = Spans()
    async with grpc_server(spans) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary("/pspd.X/Unary")(request_, metadata=(("traceparent", SAMPLED),))
    span = spans.one()
    assert failed.value.code().name == status
    assert (span.attributes or {})["rpc.response.status_code"] == status
    assert span.status.status_code is (StatusCode.ERROR if error else StatusCode.UNSET)


async def test_a_deadline_is_the_end_of_a_span() -> None:
    spans = Spans()
    async with grpc_server(spans) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary("/pspd.X/Unary")(b"wait", metadata=(("traceparent", SAMPLED),), timeout=0.2)
        await asyncio.sleep(0.05)
    span = spans.one()
    assert (span.attributes or {})["rpc.response.status_code"] == "DEADLINE_EXCEEDED"
    assert 0.1 < seconds(span) < 1


async def test_so_is_a_client_that_leaves() -> None:
    spans = Spans()
    async with grpc_server(spans) as channel:
        call = channel.unary_stream("/pspd.X/Stream")(b"x", metadata=(("traceparent", SAMPLED),))
        await call.read()
        call.cancel()
        await asyncio.sleep(0.05)
    span = spans.one()
    assert (span.attributes or {})["rpc.response.status_code"] == "CANCELLED"
    assert seconds(span) < 0.2


async def test_other_kinds_of_calls_pass_untouched() -> None:
    spans = Spans()
    async with grpc_server(spans) as channel:
        call = channel.stream_stream("/pspd.X/Echo")(iter([b"1", b"2"]), metadata=(("traceparent", SAMPLED),))
        assert [reply async for reply in call] == [b"1", b"2"]
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary("/pspd.X/Nothing")(b"x", metadata=(("traceparent", SAMPLED),))
    assert spans.all() == []


# Sanic


@asynccontextmanager
async def http_server(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(Sanic, "test_mode", True)  # several apps in one process
    app: Sanic[Any, Any] = Sanic(next(_NAMES), configure_logging=False)

    @app.get("/a/<number:int>")
    async def answer(_: Request, number: int) -> HTTPResponse:
        await asyncio.sleep(number / 1_000)
        return as_json({"waited_ms": number})

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        for _ in range(5):
            await response.send("x")
            await asyncio.sleep(0.05)
        await response.eof()

    @app.get("/broken")
    async def broken(_: Request) -> HTTPResponse:
        raise RuntimeError("broken")

    add_spans(app, spans.tracing.tracer)
    port = next(_PORTS)
    server: Any = await app.create_server("127.0.0.1", port, asyncio_server_kwargs={"start_serving": False})
    await server.startup()
    await server.start_serving()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    await server.close()


async def test_a_sampled_request_has_a_span_by_the_conventions_for_http(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = Spans()
    async with http_server(spans, monkeypatch) as client:
        await client.get("/a/20?name=X", headers={"traceparent": SAMPLED})
        await client.get("/a/1", headers={"traceparent": NOT_SAMPLED})
        await client.get("/a/1")
    span = spans.one()
    assert span.name == "GET /a/<number:int>"
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/a/<number:int>",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/a/20",
        "url.query": "name=X",
        "network.protocol.version": "1.1",
    }
    assert seconds(span) >= 0.02
    assert span.status.status_code is StatusCode.UNSET


async def test_the_span_of_a_streamed_answer_lasts_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = Spans()
    async with http_server(spans, monkeypatch) as client:
        assert (await client.get("/stream", headers={"traceparent": SAMPLED})).text == "xxxxx"
    assert seconds(spans.one()) >= 0.25


@pytest.mark.parametrize(
    ("path", "name", "status", "error"),
    [("/broken", "GET /broken", 500, True), ("/nothing", "GET", 404, False)],
)
async def test_a_request_that_fails_says_how(
    path: str, name: str, status: int, error: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = Spans()
    async with http_server(spans, monkeypatch) as client:
        assert (await client.get(path, headers={"traceparent": SAMPLED})).status_code == status
    span = spans.one()
    assert (span.name, (span.attributes or {})["http.response.status_code"]) == (name, status)
    assert span.status.status_code is (StatusCode.ERROR if error else StatusCode.UNSET)


async def test_a_client_that_leaves_ends_the_span(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = Spans()
    async with http_server(spans, monkeypatch) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/a/5000", headers={"traceparent": SAMPLED}, timeout=0.1)
        await asyncio.sleep(0.05)
    span = spans.one()
    assert (span.attributes or {})["error.type"] == "cancelled"
    assert seconds(span) < 1


# Where spans go


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:22499", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:22499", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_an_endpoint_or_switched_off_there_is_no_tracing(environ: dict[str, str]) -> None:
    assert tracing("pspd-a", environ) is None


def test_a_protocol_that_cannot_be_had_is_a_clear_sentence() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:22499", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"}
    with pytest.raises(TelemetryUnusable, match="there are grpc and http/protobuf"):
        tracing("pspd-a", environ)


class Stuck(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        while not self.told:
            asyncio.run(asyncio.sleep(0.01))
        return SpanExportResult.FAILURE

    told = False

    def shutdown(self) -> None:
        self.told = True


def test_an_exporter_that_is_stuck_does_not_hold_the_end_up() -> None:
    stuck = Tracing("pspd-a", Stuck())
    context = parent(SAMPLED)
    stuck.tracer.start_span("x", context).end()
    start = monotonic()
    stuck.close()
    assert monotonic() - start < 2


def test_a_collector_that_is_away_is_one_line_in_the_log_and_no_delay() -> None:
    code = f"""
import os, time
from observability.telemetry import parent, tracing
made = tracing("pspd-a", os.environ)
for _ in range(8):
    made.tracer.start_span("x", parent("{SAMPLED}")).end()
    time.sleep(0.1)
start = time.monotonic()
made.close()
print(time.monotonic() - start < 2)
"""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:22498", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=30)
    assert done.stdout == "True\n", done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_log_of_opentelemetry_says_the_first_complaint_of_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("opentelemetry")
    before = logger.handlers, logger.propagate
    made = tracing("pspd-a", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:22498"})
    try:
        for number in range(5):
            logging.getLogger("opentelemetry.exporter.x").warning("cannot export %d", number)
    finally:
        logger.handlers, logger.propagate = before
        assert made
        made.close()
    assert [line.endswith("cannot export 0") for line in capsys.readouterr().err.splitlines()] == [True]
