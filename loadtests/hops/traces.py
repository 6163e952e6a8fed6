"""The spans of traced calls, from where the mesh keeps them: its own sink, or a Jaeger.

Rules: asks when the load is over, for many traces at once; waits a little for what is still on its way (spans are sent
four times a second) and never long; never raises: a trace that cannot be had is left out, and whoever splits the calls
counts it. Blocking.
"""

import time
from collections.abc import Iterable
from typing import Final

from loadtests.hops.split import KINDS
from loadtests.model.measurements import TracedCall
from observability.client import AT_ONCE, fetch_traces, fetch_traces_from_jaeger
from observability.errors import TracesUnavailable
from observability.spans import Span

WAIT_SECONDS: Final = 3.0  # for spans to arrive, from the first question on
POLL_SECONDS: Final = 0.25  # as often as spans are sent
ALL_SECONDS: Final = 30.0  # for all answers; the sink gives some 2,000 traces a second


def traces_of(
    calls: Iterable[TracedCall], base: str, *, jaeger: bool = False, wait_seconds: float = WAIT_SECONDS
) -> dict[str, list[Span]]:
    """What is known of each call, by trace id, whole or not. base: http://host:port of the sink, or of Jaeger's pages."""
    fetch = fetch_traces_from_jaeger if jaeger else fetch_traces
    begun = time.monotonic()
    found: dict[str, list[Span]] = {}
    wanted = [call.trace_id for call in calls]
    while wanted:
        for first in range(0, len(wanted), AT_ONCE):
            if time.monotonic() - begun > ALL_SECONDS:
                return found
            try:
                found |= fetch(base, wanted[first : first + AT_ONCE])
            except TracesUnavailable:
                break  # the others would wait as long for nothing; perhaps it is there in the next round
        wanted = [trace_id for trace_id in wanted if len(found.get(trace_id, ())) < len(KINDS)]
        if time.monotonic() - begun > wait_seconds:
            break
        if wanted:
            time.sleep(POLL_SECONDS)
    return found
