"""Calls and runs to test with, as data; and a report's table of hops, read back."""

from collections.abc import Sequence

from loadtests.hops.split import KINDS
from loadtests.model.cells import Cell
from loadtests.model.measurements import Hops, Measurement, RouteResult, TracedCall
from observability.spans import Span

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BEGUN_NS = 1_795_453_518_123_456_000
SERVICES = ("edge", "edge", "sidecar-a", "sidecar-a", "a")


def spans(within_us: Sequence[tuple[float, float]], trace_id: str = TRACE) -> list[Span]:
    """The spans of one call, from the top: each begins and ends so many microseconds after the client began."""
    return [
        Span(
            trace_id=trace_id,
            span_id=f"{number + 1:016x}",
            parent_id=f"{number or 0xFEED:016x}",  # above the first is the generator's
            name=service,
            service=service,
            start_ns=BEGUN_NS + round(begin * 1000),
            end_ns=BEGUN_NS + round(end * 1000),
            kind=kind,
        )
        for number, (kind, service, (begin, end)) in enumerate(zip(KINDS, SERVICES, within_us, strict=True))
    ]


def called(latency_us: int, route: str = "/a/hello", trace_id: str = TRACE) -> TracedCall:
    return TracedCall(trace_id, route, BEGUN_NS, latency_us)


def measured(
    cell: Cell, repetition: int, mean_us: float, parts_us: dict[str, float] | None, voided: str = ""
) -> Measurement:
    """A run of one route, a thousand calls of which a hundred were traced; parts_us None: none was."""
    route = RouteResult(1000, round(1000 * mean_us), "")
    hops = (Hops("/a/hello", 100, sum(parts_us.values()), parts_us),) if parts_us else ()
    return Measurement(cell, repetition, 0, 1.0, 0.0, {"/a/hello": route}, hops=hops, voided=voided)


def rows_of_hops(markdown: str) -> dict[str, list[str]]:
    """Hop -> what a report's table of hops says of it first: gRPC, REST, and their difference."""
    section = markdown[markdown.index("## Where the time goes") : markdown.index("### What a hop holds")]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return {row[-4]: row[-3:] for row in reversed(rows) if len(row) >= 4}
