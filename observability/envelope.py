"""An OTLP request, opened no further than needed to sort its spans by trace.

Under load every call brings five spans and hardly one is ever looked at. So a request is read with message types of
the same numbers whose spans are still bytes: 0.4 to 1.6 µs a span, where reading it all takes 4. It also means that
four megabytes of empty spans become 100 MB for a moment and not 370.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1 import trace_pb2

_TRACE_ID_FIRST = b"\x0a\x10"  # field 1, 16 bytes: how every encoder known to us begins a span


def _request_class() -> Any:
    """ExportTraceServiceRequest with `resource` and `spans` left as bytes, in a pool of its own."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="envelope.proto", package="envelope", syntax="proto3")
    scope = file.message_type.add(name="ScopeSpans")
    scope.field.add(name="spans", number=2, type=field.TYPE_BYTES, label=field.LABEL_REPEATED)
    sender = file.message_type.add(name="ResourceSpans")
    sender.field.add(name="resource", number=1, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL)
    of_scope, of_sender = ".envelope.ScopeSpans", ".envelope.ResourceSpans"
    sender.field.add(
        name="scope_spans", number=2, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED, type_name=of_scope
    )
    request = file.message_type.add(name="Request")
    request.field.add(
        name="resource_spans", number=1, type=field.TYPE_MESSAGE, label=field.LABEL_REPEATED, type_name=of_sender
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("envelope.Request"))


_Request = _request_class()


def opened(request: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(trace id, resource, span) of every span in `request`; the id is empty where there is none. Raises: ValueError."""
    try:
        senders = _Request.FromString(request).resource_spans
    except DecodeError as error:
        raise ValueError("not a request of OTLP") from error
    for sender in senders:
        resource = sender.resource
        for scope in sender.scope_spans:
            for span in scope.spans:
                yield span[2:18] if span[:2] == _TRACE_ID_FIRST else _trace_id(span), resource, span


def _trace_id(span: bytes) -> bytes:
    try:
        trace_id = trace_pb2.Span.FromString(span).trace_id
    except DecodeError:
        return b""
    return trace_id if len(trace_id) == 16 else b""
