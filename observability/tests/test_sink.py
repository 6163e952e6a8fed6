"""The sink as a process, over real gRPC and HTTP."""

import contextlib
import gzip
import json
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator

import grpc
import httpx
import psutil
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from observability.client import fetch_trace, fetch_traces
from observability.http_messages import BODY_BYTES
from observability.tests.made import call, free_port, request, span, trace_id
from observability.tests.running import Running, a_sink
from observability.tree import rows, tree

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
WEB = httpx.Client()  # one for all: each loads the certificates of the world anew


@pytest.fixture(scope="module")
def sink() -> Iterator[Running]:
    with a_sink() as running:
        yield running


def export(sink: Running, body: bytes, **headers: str) -> httpx.Response:
    return WEB.post(f"{sink.http}/v1/traces", content=body, headers=PROTOBUF | headers)


def test_what_the_stock_exporter_sends_is_shown_as_one_tree(sink: Running) -> None:
    provider = TracerProvider(resource=Resource({"service.name": "stock"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"http://{sink.grpc}", insecure=True)))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("outer", kind=trace.SpanKind.SERVER) as outer:
        outer.set_attributes({"text": "olá", "numbers": [1, 2]})
        with tracer.start_as_current_span("inner") as inner:
            inner.set_status(trace.StatusCode.ERROR, "broken")
    provider.shutdown()
    first, second = rows(tree(fetch_trace(sink.http, f"{outer.get_span_context().trace_id:032x}")))
    assert (first.span.name, first.span.kind, first.span.service) == ("outer", "server", "stock")
    assert first.span.attributes == {"text": "olá", "numbers": [1, 2]}
    assert (second.span.name, second.span.status, second.span.status_message) == ("inner", "error", "broken")
    assert second.depth == 1


@pytest.mark.parametrize("packed", [False, True])
def test_protobuf_over_http_is_taken(sink: Running, packed: bool) -> None:
    wanted = trace_id(10 + packed)
    body = request(call(wanted)).SerializeToString()
    answer = export(sink, gzip.compress(body), **{"content-encoding": "gzip"}) if packed else export(sink, body)
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert ExportTraceServiceResponse.FromString(answer.content) == ExportTraceServiceResponse()
    assert fetch_trace(sink.http, wanted) == call(wanted)


def test_a_chunked_body_is_taken(sink: Running) -> None:
    body = request(call(trace_id(12))).SerializeToString()
    WEB.post(f"{sink.http}/v1/traces", content=iter([body[:100], body[100:]]), headers=PROTOBUF).raise_for_status()
    assert fetch_trace(sink.http, trace_id(12)) == call(trace_id(12))


def test_otlp_json_with_hexadecimal_ids_is_taken(sink: Running) -> None:
    sent = {"traceId": trace_id(13), "spanId": "00000000000000AB", "name": "json", "kind": 2, "unknown": {}}
    sent |= {"startTimeUnixNano": "1795453518123456000", "endTimeUnixNano": 1795453518123457000}
    sender = {"attributes": [{"key": "service.name", "value": {"stringValue": "by hand"}}]}
    body = {"resourceSpans": [{"resource": sender, "scopeSpans": [{"spans": [sent]}]}]}
    answer = WEB.post(f"{sink.http}/v1/traces", json=body)
    assert (answer.status_code, answer.json()) == (200, {})
    (came,) = fetch_trace(sink.http, trace_id(13))
    assert (came.span_id, came.service, came.kind) == ("00000000000000ab", "by hand", "server")
    assert came.end_ns - came.start_ns == 1000


def test_spans_that_are_refused_are_told_as_partial_success(sink: Running) -> None:
    answer = export(sink, request([span(1, 0, "a", "no trace", 0, 1, trace_id="00" * 16)]).SerializeToString())
    assert ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans == 1


BAD = [
    ({"content-type": "text/plain"}, b"x", 415, "content-type 'text/plain' is not known"),
    ({}, b"x", 415, "content-type '' is not known"),
    (PROTOBUF | {"content-encoding": "br"}, b"x", 415, "content-encoding 'br' is not known"),
    (PROTOBUF, b"\xff\xff\xff", 400, "not a request of OTLP"),
    (PROTOBUF | {"content-encoding": "gzip"}, b"no gzip", 400, "not gzip"),
    (PROTOBUF | {"content-encoding": "gzip"}, gzip.compress(b"x" * 100)[:20], 400, "ends too early"),
    (PROTOBUF | {"content-encoding": "gzip"}, gzip.compress(bytes(BODY_BYTES + 1)), 413, "unpacked"),
    (PROTOBUF, bytes(BODY_BYTES + 1), 413, "a body may have 4194304 bytes"),
    (JSON, b"{", 400, "Expecting property name"),
    (JSON, b"[1]", 400, "not a request of OTLP"),
    (JSON, b'{"resourceSpans": 7}', 400, "not a request of OTLP"),
    (JSON, b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xy"}]}]}]}', 400, "hexadecimal"),
    (JSON, b"[" * 200_000, 400, "not a request of OTLP"),
    (JSON, b"\xff{}", 400, "codec"),
]


@pytest.mark.parametrize(("headers", "body", "status", "why"), BAD)
def test_a_bad_export_is_refused_with_the_reason(
    sink: Running, headers: dict[str, str], body: bytes, status: int, why: str
) -> None:
    answer = WEB.post(f"{sink.http}/v1/traces", content=body, headers=headers)
    assert answer.status_code == status
    assert why in answer.json()["message"]
    assert answer.json().keys() == {"code", "message", "details"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/trace/xyz", 400),
        ("GET", f"/trace/{'0' * 32}", 400),
        ("GET", f"/trace/{'a' * 32}", 404),
        ("GET", "/traces?limit=-1", 400),
        ("GET", "/traces?limit=99999999999", 400),
        ("GET", "/traces?ids=xyz", 400),
        ("GET", "/traces?ids=" + ",".join(["a" * 32] * 101), 400),
        ("GET", "/nothing", 404),
        ("GET", "/v1/traces", 405),
        ("DELETE", "/traces", 405),
        ("GET", "/healthz?" + "x" * 20_000, 431),
    ],
)
def test_a_bad_question_is_refused_in_json(sink: Running, method: str, path: str, status: int) -> None:
    answer = WEB.request(method, sink.http + path, headers={"accept": "application/json"})
    assert answer.status_code == status
    assert answer.json()["message"]


@pytest.mark.parametrize(
    "noise", [b"\x00\x01\x02\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
def test_what_is_not_http_1_is_refused(sink: Running, noise: bytes) -> None:
    host, port = sink.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(noise)
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_a_header_that_never_ends_is_refused(sink: Running) -> None:
    host, port = sink.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(40):
                connection.sendall(b"x" * 1000)
        assert connection.recv(4096).startswith(b"HTTP/1.1 431 ")


def test_requests_on_one_connection_are_answered_in_order(sink: Running) -> None:
    host, port = sink.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        last = b"GET /nothing HTTP/1.1\r\nconnection: close\r\n\r\n"
        connection.sendall(b"GET /healthz HTTP/1.1\r\n\r\nHEAD /traces HTTP/1.1\r\n\r\n" + last)
        came = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [part.split(b" ")[0] for part in came.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404"]


def test_the_latest_traces_are_listed(sink: Running) -> None:
    for number in (20, 21):
        export(sink, request(call(trace_id(number))).SerializeToString())
    first, second = WEB.get(f"{sink.http}/traces?limit=2").json()["traces"]
    assert (first["trace_id"], second["trace_id"]) == (trace_id(21), trace_id(20))
    assert (first["service"], first["name"], first["duration_ns"]) == ("edge", "GET /a/hello", 6_420_000)
    assert (first["spans"], first["errors"], first["complete"]) == (5, 0, True)


def test_many_traces_are_had_whole_by_one_question_and_unknown_ones_are_left_out(sink: Running) -> None:
    for number in (25, 26):
        export(sink, request(call(trace_id(number))).SerializeToString())
    wanted = [trace_id(number) for number in (26, 27, 25)]
    assert fetch_traces(sink.http, wanted) == {one: call(one) for one in (trace_id(26), trace_id(25))}
    assert fetch_traces(sink.http, [trace_id(27)]) == {}


def test_a_person_gets_a_page_and_a_program_gets_json(sink: Running) -> None:
    export(sink, request(call(trace_id(30))).SerializeToString())
    page = WEB.get(f"{sink.http}/trace/{trace_id(30)}", headers={"accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "pspd.ServiceA/SayHello" in page.text
    document = WEB.get(f"{sink.http}/trace/{trace_id(30)}", headers={"accept": "application/json"}).json()
    assert [one["depth"] for one in document["spans"]] == [0, 1, 2, 3, 4]


def test_a_person_faster_than_the_spans_is_kept_waiting_for_them(sink: Running) -> None:
    host, port = sink.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"GET /trace/{trace_id(31)} HTTP/1.1\r\nconnection: close\r\n\r\n".encode())
        time.sleep(0.2)
        export(sink, request(call(trace_id(31))).SerializeToString())
        came = b"".join(iter(lambda: connection.recv(65536), b""))
    assert came.startswith(b"HTTP/1.1 200 ")


def test_a_bad_message_over_grpc_is_refused(sink: Running) -> None:
    with grpc.insecure_channel(sink.grpc) as channel:
        raw: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        )
        with pytest.raises(grpc.RpcError) as refused:
            raw(b"\xff\xff\xff")
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            with pytest.raises(grpc.RpcError) as refused:
                raw(bytes(4 * BODY_BYTES), compression=compression)  # packed, it is a few kilobytes
            assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_flood_leaves_memory_bounded_and_the_newest_traces_whole() -> None:
    with a_sink("--max-spans", "10000", "--max-bytes", "4000000") as sink, grpc.insecure_channel(sink.grpc) as channel:
        process = psutil.Process(sink.process.pid)
        before = process.memory_full_info().uss
        stub = TraceServiceStub(channel)  # type: ignore[no-untyped-call]
        for number in range(1, 101):
            spans = [s for n in range(100) for s in call(trace_id(number * 100 + n))]
            stub.Export(request(spans))
        health = WEB.get(f"{sink.http}/healthz").json()
        assert health["spans"] + health["evicted_spans"] == 50_000
        assert health["bytes"] <= 4_000_000
        assert process.memory_full_info().uss - before < 15_000_000
        assert fetch_trace(sink.http, trace_id(100 * 100 + 99)) == call(trace_id(100 * 100 + 99))


def test_a_message_of_countless_empty_spans_is_survived() -> None:
    def field(tag: int, value: bytes) -> bytes:
        length, encoded = len(value), bytearray()
        while length > 127:
            encoded.append(length & 127 | 128)
            length >>= 7
        return bytes([tag, *encoded, length]) + value

    bomb = field(0x0A, field(0x12, b"\x12\x00" * ((BODY_BYTES - 100) // 2)))
    with a_sink() as sink:
        answer = export(sink, zlib.compress(bomb, wbits=31), **{"content-encoding": "gzip"})
        assert ExportTraceServiceResponse.FromString(answer.content).partial_success.rejected_spans > 2_000_000
        assert psutil.Process(sink.process.pid).memory_info().rss < 250_000_000
        assert WEB.get(f"{sink.http}/healthz").json()["spans"] == 0


@pytest.mark.parametrize("taken", ["--grpc", "--http"])
def test_a_taken_port_is_one_clear_sentence(taken: str) -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", free_port()))
        owner.listen()
        address = f"127.0.0.1:{owner.getsockname()[1]}"
        ports = {"--grpc": f"127.0.0.1:{free_port()}", "--http": f"127.0.0.1:{free_port()}", taken: address}
        command = [sys.executable, "-m", "observability.sink", *(word for pair in ports.items() for word in pair)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=10)
    assert ended.returncode == 1
    assert ended.stderr == f"sink: cannot listen on {address}: Address already in use\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_when_told_to(number: signal.Signals) -> None:
    with a_sink() as sink, httpx.Client() as client:
        client.get(f"{sink.http}/healthz")  # and keeps its connection
        began = time.monotonic()
        sink.process.send_signal(number)
        assert sink.process.wait(5) == 0
        assert time.monotonic() - began < 1.5


def test_it_is_small_and_imports_nothing_of_the_mesh() -> None:
    script = (
        "import sys, json; import observability.sink; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"mesh", "edge", "services", "sanic", "rich", "cryptography"} & set(json.loads(ended.stdout))
    with a_sink() as sink:
        WEB.get(f"{sink.http}/healthz")
        assert psutil.Process(sink.process.pid).memory_full_info().pss < 45 * 1024 * 1024


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:4318", 200),
        ("127.0.0.1", 200),
        ("[::1]:4318", 200),
        ("evil.example", 403),
        ("localhost.evil.example:80", 403),
    ],
)
def test_a_page_whose_name_resolves_to_this_machine_reads_no_traces(sink: Running, host: str, status: int) -> None:
    assert httpx.get(f"{sink.http}/traces", headers={"host": host}).status_code == status
