"""A trace as Jaeger's query API tells it, read into the same spans. Pure.

Rules: Jaeger has microseconds and no kinds or statuses of its own; it keeps those in tags, and they are taken out of
the attributes again. Ids may come without their leading zeros.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from observability.spans import KINDS, NAMELESS, Span, Status

_ITS_OWN = {"span.kind", "error", "otel.status_code", "otel.status_description", "internal.span.format"}


def spans_from_jaeger(document: Mapping[str, Any]) -> list[Span]:
    """The spans in an answer of GET /api/traces/<id>; none when there is no trace. Raises: ValueError."""
    try:
        return [_span(sent, trace["processes"]) for trace in document.get("data") or () for sent in trace["spans"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an answer of Jaeger: {error!r}") from error


def _span(sent: Mapping[str, Any], processes: Mapping[str, Any]) -> Span:
    tags: dict[str, Any] = {tag["key"]: tag.get("value") for tag in sent.get("tags") or ()}
    kind = tags.get("span.kind", "internal")
    start_ns = int(sent["startTime"]) * 1000
    return Span(
        trace_id=sent["traceID"].zfill(32),
        span_id=sent["spanID"].zfill(16),
        parent_id=_parent(sent["traceID"], sent.get("references") or ()),
        name=sent["operationName"],
        service=processes.get(str(sent.get("processID")), {}).get("serviceName") or NAMELESS,
        start_ns=start_ns,
        end_ns=start_ns + max(0, int(sent["duration"])) * 1000,
        kind=kind if kind in KINDS else "internal",
        status=_status(tags),
        status_message=str(tags.get("otel.status_description", "")),
        attributes={name: value for name, value in tags.items() if name not in _ITS_OWN},
    )


def _parent(trace_id: str, references: Iterable[Mapping[str, Any]]) -> str:
    for reference in references:
        if reference["refType"] == "CHILD_OF" and reference["traceID"] == trace_id:
            return str(reference["spanID"]).zfill(16)
    return ""


def _status(tags: Mapping[str, Any]) -> Status:
    if tags.get("otel.status_code") == "ERROR" or tags.get("error") in (True, "true"):
        return "error"
    return "ok" if tags.get("otel.status_code") == "OK" else "unset"
