"""Where a traced call spent its time: the parts of one call, and of a route. Pure.

A call through the mesh makes five spans, each within the one above: the edge's server span, its client span, the
sidecar's server span, its client span, the service's own. What a span has beyond the one below it is one hop:

    client              what the client saw beyond the edge's server span: the generator, the kernel, the connection
    edge                filters, transcoding, the journal
    edge to sidecar     the wire and mutual TLS, there and back
    sidecar             its filters
    sidecar to service  the socket, and gRPC's or Sanic's own machinery and queue around the handler
    service             the handler

Rules: the parts of a call sum to what the client saw, to the nanosecond. A call whose spans are not these five, each
within the one above but for TOLERANCE_NS, is left out and counted, never mended.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Final

from loadtests.model.measurements import Hops, TracedCall
from observability.spans import Kind, Span

HOPS: Final = ("client", "edge", "edge to sidecar", "sidecar", "sidecar to service", "service")
KINDS: Final[tuple[Kind, ...]] = ("server", "client", "server", "client", "server")  # of the five spans, from the top
TOLERANCE_NS: Final = 50_000  # the clock is one, but some read it in microseconds, and it may be slewed meanwhile

Parts = dict[str, float]  # hop -> microseconds
Traces = Mapping[str, Sequence[Span]]  # trace id -> its spans, in any order


def split(call: TracedCall, spans: Sequence[Span]) -> Parts | None:
    """The parts of one call; None where its spans do not tell (`trouble` says why)."""
    if trouble(call, spans):
        return None
    whole_ns = call.latency_us * 1000
    begin, end = call.begun_ns, call.begun_ns + whole_ns
    lasted_ns = [whole_ns]
    for span in _chain(spans):
        begin, end = max(begin, span.start_ns), min(end, span.end_ns)  # as far as it lies within the one above
        lasted_ns.append(max(0, end - begin))
    return dict(zip(HOPS, [(above - below) / 1000 for above, below in pairwise([*lasted_ns, 0])], strict=True))


def trouble(call: TracedCall, spans: Sequence[Span]) -> str:
    """Why the spans of a call do not tell where it spent its time; empty: they do."""
    chain = _chain(spans)
    if not spans:
        return "no span is here"
    if len(spans) < len(KINDS):
        return "spans are missing"
    if len(spans) > len(KINDS) or tuple(span.kind for span in chain) != KINDS:
        return "spans other than the five of one attempt"  # each retry adds some
    limits = [
        (call.begun_ns, call.begun_ns + call.latency_us * 1000),
        *((span.start_ns, span.end_ns) for span in chain),
    ]
    for above, below in pairwise(limits):
        if below[0] < above[0] - TOLERANCE_NS or below[1] > above[1] + TOLERANCE_NS:
            return "a span reaches beyond the one above"
    return ""


def left_out(calls: Iterable[TracedCall], traces: Traces) -> Counter[str]:
    """How many of `calls` cannot be split, by cause."""
    causes = (trouble(call, traces.get(call.trace_id, ())) for call in calls)
    return Counter(cause for cause in causes if cause)


def hops_of(calls: Iterable[TracedCall], traces: Traces) -> list[Hops]:
    """The means of each route that has a call that can be split, in order of name."""
    routes: dict[str, list[Parts]] = {}
    for call in calls:
        if parts := split(call, traces.get(call.trace_id, ())):
            routes.setdefault(call.route, []).append(parts)
    return [_means(route, found) for route, found in sorted(routes.items())]


def _means(route: str, found: Sequence[Parts]) -> Hops:
    parts = {hop: fmean(one[hop] for one in found) for hop in HOPS}
    return Hops(route, len(found), sum(parts.values()), parts)


def _chain(spans: Sequence[Span]) -> list[Span]:
    """The spans from the top down, as far as there is exactly one below each."""
    known = {span.span_id for span in spans}
    below: dict[str, list[Span]] = {}
    for span in spans:  # above the edge's is the generator's, which is never sent
        below.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    chain: list[Span] = []
    parent_id = ""
    while len(children := below.get(parent_id, [])) == 1 and len(chain) < len(spans):  # ids may be used twice: a loop
        chain += children
        parent_id = children[0].span_id
    return chain
