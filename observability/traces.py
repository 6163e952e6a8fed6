"""The newest traces, in memory, within bounds. Cheap to fill; what a trace holds is read when somebody asks.

Rules: a trace goes as a whole, the one longest without news first; no trace may fill the store alone; what is not
kept is counted. Not safe to share between threads.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from observability.envelope import opened
from observability.spans import Span, span_from_otlp

MAX_SPANS = 50_000
MAX_BYTES = 32 * 1024 * 1024
MAX_SPANS_OF_TRACE = 1_000  # beyond that nobody reads a waterfall
OVERHEAD_BYTES = 120  # a span's share of Python's own bookkeeping

_NO_TRACE = bytes(16)


@dataclass(slots=True)
class _Kept:
    spans: list[tuple[bytes, bytes]] = field(default_factory=list)  # resource, span; as they came
    size: int = 0


class TraceStore:
    """The newest traces; at most `max_spans` spans and about `max_bytes` of memory."""

    def __init__(
        self,
        max_spans: int = MAX_SPANS,
        max_bytes: int = MAX_BYTES,
        max_spans_of_trace: int = MAX_SPANS_OF_TRACE,
    ) -> None:
        self._max_spans, self._max_bytes, self._max_spans_of_trace = max_spans, max_bytes, max_spans_of_trace
        self._max_bytes_of_trace = max_bytes // 4
        self._traces: dict[bytes, _Kept] = {}  # the one with the latest news last
        self.spans = 0
        self.size = 0
        self.refused = 0  # spans without a usable id, or beyond what one trace may hold
        self.evicted = 0  # spans that made room for newer ones

    def __len__(self) -> int:
        return len(self._traces)

    def add(self, request: bytes) -> int:
        """Keep the spans of an OTLP request, and return how many were refused. Raises: ValueError."""
        refused = 0
        for trace_id, resource, span in opened(request):
            refused += not self._keep(trace_id, resource, span)
        self._make_room()
        self.refused += refused
        return refused

    def _keep(self, trace_id: bytes, resource: bytes, span: bytes) -> bool:
        if len(trace_id) != 16 or trace_id == _NO_TRACE:
            return False
        trace = self._traces.pop(trace_id, None) or _Kept()
        self._traces[trace_id] = trace  # now the latest
        size = len(resource) + len(span) + OVERHEAD_BYTES
        if len(trace.spans) >= self._max_spans_of_trace or trace.size + size > self._max_bytes_of_trace:
            return False
        trace.spans.append((resource, span))
        trace.size += size
        self.spans += 1
        self.size += size
        return True

    def _make_room(self) -> None:
        while self.spans > self._max_spans or self.size > self._max_bytes or len(self._traces) > self._max_spans:
            trace = self._traces.pop(next(iter(self._traces)))
            self.spans -= len(trace.spans)
            self.size -= trace.size
            self.evicted += len(trace.spans)

    def trace(self, trace_id: str) -> list[Span]:
        """Every readable span of the trace, in the order of arrival; none if it is not known."""
        trace = self._traces.get(bytes.fromhex(trace_id))
        return list(_readable(trace.spans)) if trace else []

    def latest(self, limit: int) -> list[str]:
        """The ids of the traces with the latest news, newest first."""
        return [trace_id.hex() for trace_id in islice(reversed(self._traces), limit)]

    def arrived(self, trace_id: str) -> int:
        """How many spans of the trace have come in."""
        trace = self._traces.get(bytes.fromhex(trace_id))
        return len(trace.spans) if trace else 0


def _readable(kept: list[tuple[bytes, bytes]]) -> Iterator[Span]:
    for resource, span in kept:
        try:
            yield span_from_otlp(resource, span)
        except ValueError:
            continue  # only the sender can mend it, and it left when the request was answered
