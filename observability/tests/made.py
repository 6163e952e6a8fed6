"""Spans to test with: as data, and as a sender would send them."""

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mesh.tests.ports import ports
from observability.spans import KINDS, STATUSES, Span

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
START_NS = 1_795_453_518_123_456_000


def span(number: int, parent: int, service: str, name: str, from_us: int, to_us: int, **more: Any) -> Span:
    """A span with small ids and times in microseconds after a fixed moment."""
    parent_id = f"{parent:016x}" if parent else ""
    more = {"trace_id": TRACE, "kind": "server"} | more
    return Span(
        span_id=f"{number:016x}",
        parent_id=parent_id,
        name=name,
        service=service,
        start_ns=START_NS + from_us * 1000,
        end_ns=START_NS + to_us * 1000,
        **more,
    )


def call(trace_id: str = TRACE) -> list[Span]:
    """The five spans of a call of A."""
    return [
        span(1, 0, "edge", "GET /a/hello", 0, 6420, trace_id=trace_id, attributes={"http.route": "/a/hello"}),
        span(2, 1, "edge", "router a egress", 410, 6100, trace_id=trace_id, kind="client"),
        span(3, 2, "sidecar-a", "ingress", 900, 5800, trace_id=trace_id),
        span(4, 3, "sidecar-a", "router app egress", 1100, 5600, trace_id=trace_id, kind="client"),
        span(5, 4, "a", "pspd.ServiceA/SayHello", 1500, 5200, trace_id=trace_id, attributes={"rpc.system": "grpc"}),
    ]


def request(spans: Iterable[Span]) -> ExportTraceServiceRequest:
    """The spans as one OTLP request; attributes are text or whole numbers."""
    built = ExportTraceServiceRequest()
    for one in spans:
        sender = built.resource_spans.add()
        sender.resource.attributes.add(key="service.name").value.string_value = one.service
        sent: Any = sender.scope_spans.add().spans.add(
            trace_id=bytes.fromhex(one.trace_id),
            span_id=bytes.fromhex(one.span_id),
            parent_span_id=bytes.fromhex(one.parent_id),
            name=one.name,
            start_time_unix_nano=one.start_ns,
            end_time_unix_nano=one.end_ns,
        )
        sent.kind = max(1, KINDS.index(one.kind))
        sent.status.code = STATUSES.index(one.status)
        sent.status.message = one.status_message
        for key, value in one.attributes.items():
            field = "string_value" if isinstance(value, str) else "int_value"
            setattr(sent.attributes.add(key=key).value, field, value)
    return built


def trace_id(number: int) -> str:
    return f"{number:032x}"


free_port = ports(22_500, 23_000)
