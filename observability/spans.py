"""A span as plain data, and how it is read from OTLP. Pure: bytes in, data out.

Rules: ids are lower-case hex, "" for no parent; times are nanoseconds since the epoch as the sender's clock had them;
what cannot be read is refused with a ValueError, never guessed.
"""

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from observability.errors import MalformedTraceId

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Status = Literal["unset", "ok", "error"]

KINDS: tuple[Kind, ...] = ("internal", "internal", "server", "client", "producer", "consumer")  # by OTLP's number
STATUSES: tuple[Status, ...] = ("unset", "ok", "error")
NAMELESS = "unknown service"  # a sender that does not say who it is


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work that one service did for a call."""

    trace_id: str
    span_id: str
    parent_id: str  # "" at the root
    name: str
    service: str
    start_ns: int
    end_ns: int  # never before the start
    kind: Kind = "internal"
    status: Status = "unset"
    status_message: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)  # JSON values


def trace_id_of(text: str) -> str:
    """`text` as a trace id. Raises: MalformedTraceId."""
    trace_id = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{32}", trace_id) or not trace_id.strip("0"):
        raise MalformedTraceId(text)
    return trace_id


def span_from_otlp(resource: bytes, span: bytes) -> Span:
    """The span that a sender described as `resource` sent. Raises: ValueError."""
    try:
        sender = Resource.FromString(resource)
        sent = trace_pb2.Span.FromString(span)
    except DecodeError as error:
        raise ValueError("not a span of OTLP") from error
    if len(sent.span_id) != 8 or len(sent.parent_span_id) not in (0, 8):
        raise ValueError("a span's id is 8 bytes")
    kind, status = sent.kind, sent.status.code
    return Span(
        trace_id=sent.trace_id.hex(),
        span_id=sent.span_id.hex(),
        parent_id=sent.parent_span_id.hex() if any(sent.parent_span_id) else "",
        name=sent.name,
        service=str(attributes_of(sender.attributes).get("service.name") or NAMELESS),
        start_ns=sent.start_time_unix_nano,
        end_ns=max(sent.start_time_unix_nano, sent.end_time_unix_nano),
        kind=KINDS[kind] if 0 <= kind < len(KINDS) else "internal",
        status=STATUSES[status] if 0 <= status < len(STATUSES) else "unset",
        status_message=sent.status.message,
        attributes=attributes_of(sent.attributes),
    )


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _json_value(pair.value) for pair in pairs}


def _json_value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_json_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return attributes_of(value.kvlist_value.values)
        case "bytes_value":
            return value.bytes_value.hex()
        case "double_value" if not math.isfinite(value.double_value):
            return str(value.double_value)  # JSON has no NaN
        case plain:
            return getattr(value, plain)


def request_from_json(body: bytes) -> bytes:
    """The protobuf form of an OTLP/JSON request. Raises: ValueError."""
    from google.protobuf import json_format  # few send JSON: the others need not pay its memory

    try:
        document = json.loads(body)
        for span in _spans_in(document):
            for named in (span, *span.get("links", ())):
                for key in named.keys() & {"traceId", "spanId", "parentSpanId"}:
                    # OTLP/JSON has hex, protobuf base64
                    named[key] = base64.b64encode(bytes.fromhex(named[key])).decode()
        request = json_format.ParseDict(document, ExportTraceServiceRequest(), ignore_unknown_fields=True)
    except (RecursionError, TypeError, AttributeError) as error:
        raise ValueError("not a request of OTLP") from error
    except json_format.ParseError as error:
        raise ValueError(str(error)) from error
    return request.SerializeToString()


def _spans_in(document: Any) -> Iterator[dict[str, Any]]:
    for sender in document.get("resourceSpans", ()):
        for scope in sender.get("scopeSpans", ()):
            yield from scope.get("spans", ())
