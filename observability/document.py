"""A trace as JSON: what the sink answers, `meshlog trace ID --json` prints and the client reads again.

Rules: nothing is lost on the way there and back; no number is above 2^53, for many readers of JSON have only doubles:
the start is text, all else counts from it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from observability.spans import KINDS, STATUSES, Span
from observability.tree import Row, hops, rows, time_spent, tree


def to_json(spans: Iterable[Span]) -> dict[str, Any]:
    """One trace, in the order of its waterfall. Raises: ValueError when there are no spans."""
    forest = tree(spans)
    placed = rows(forest)
    begin, end = extent(placed)
    sent_first = min(row.span.start_ns for row in placed)
    return {
        "trace_id": placed[0].span.trace_id,
        "start": timestamp(sent_first),
        "start_ns": str(sent_first),
        "duration_ns": end - begin,
        "complete": forest.complete,
        "services": services_of(placed),
        "spans": [_span_to_json(row, sent_first) for row in placed],
        "time_spent_ns": time_spent(placed),
        "hops": [
            {"caller": h.caller, "callee": h.callee, "out_ns": h.out_ns, "inside_ns": h.inside_ns, "back_ns": h.back_ns}
            for h in hops(placed)
        ],
    }


def from_json(document: Mapping[str, Any]) -> list[Span]:
    """The spans that `to_json` was given, without duplicates. Raises: ValueError."""
    try:
        start_ns, trace_id = int(document["start_ns"]), str(document["trace_id"])
        return [_span_from_json(span, trace_id, start_ns) for span in document["spans"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a trace: {error!r}") from error


def summary(spans: Iterable[Span]) -> dict[str, Any]:
    """One line about a trace. Raises: ValueError when there are no spans."""
    forest = tree(spans)
    placed = rows(forest)
    begin, end = extent(placed)
    first = placed[0].span
    return {
        "trace_id": first.trace_id,
        "start": timestamp(first.start_ns),
        "service": first.service,
        "name": first.name,
        "duration_ns": end - begin,
        "spans": len(placed),
        "errors": sum(row.span.status == "error" for row in placed),
        "complete": forest.complete,
    }


def extent(placed: Sequence[Row]) -> tuple[int, int]:
    """The first and the last moment of a waterfall. Raises: ValueError when it has no rows."""
    return min(row.start_ns for row in placed), max(row.end_ns for row in placed)


def services_of(placed: Sequence[Row]) -> list[str]:
    """In the order in which the waterfall meets them."""
    return list(dict.fromkeys(row.span.service for row in placed))


def timestamp(ns: int) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    try:
        return (
            datetime.fromtimestamp(ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            + f".{ns // 1000 % 1_000_000:06}Z"
        )
    except (ValueError, OverflowError, OSError):  # a sender whose clock is beyond the year 9999
        return f"{ns} ns"


def _span_to_json(row: Row, first_ns: int) -> dict[str, Any]:
    span = row.span
    return {
        "span_id": span.span_id,
        "parent_id": span.parent_id,
        "depth": row.depth,
        "service": span.service,
        "name": span.name,
        "kind": span.kind,
        "offset_ns": span.start_ns - first_ns,
        "duration_ns": row.duration_ns,
        "own_ns": row.own_ns,
        "skew_ns": row.skew_ns,
        "adrift": row.adrift,
        "status": span.status,
        "status_message": span.status_message,
        "attributes": dict(span.attributes),
    }


def _span_from_json(sent: Mapping[str, Any], trace_id: str, first_ns: int) -> Span:
    start_ns = first_ns + int(sent["offset_ns"])
    if sent["kind"] not in KINDS or sent["status"] not in STATUSES:
        raise ValueError(f"not a span: kind {sent['kind']!r}, status {sent['status']!r}")
    return Span(
        trace_id=trace_id,
        span_id=str(sent["span_id"]),
        parent_id=str(sent["parent_id"]),
        name=str(sent["name"]),
        service=str(sent["service"]),
        start_ns=start_ns,
        end_ns=start_ns + max(0, int(sent["duration_ns"])),
        kind=sent["kind"],
        status=sent["status"],
        status_message=str(sent["status_message"]),
        attributes=dict(sent["attributes"]),
    )
