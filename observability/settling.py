"""When has all of a trace arrived? Nobody says how many spans a call makes, so: when it is whole and quiet."""

import time
from collections.abc import Sequence

from observability.spans import Span
from observability.tree import tree

QUIET_SECONDS = 0.3  # Envoy and the services send what they have four times a second
QUIET_INCOMPLETE_SECONDS = 1.0  # a caller with a trace context of its own never sends us the root
OLD_SECONDS = 10.0  # nothing more comes of a call that ended so long ago
POLL_SECONDS = 0.1


class Settling:
    """Looks at what has arrived of one trace, again and again, and says when to stop waiting."""

    def __init__(self, wait_seconds: float, now: float) -> None:
        self._deadline = now + wait_seconds
        self._seen, self._since = -1, now

    def done(self, spans: Sequence[Span], now: float) -> bool:
        """now: seconds on a clock that never jumps, the same as at the beginning."""
        if len(spans) != self._seen:
            self._seen, self._since = len(spans), now
        if now >= self._deadline:
            return True
        if not spans:
            return False
        if max(span.end_ns for span in spans) < time.time_ns() - OLD_SECONDS * 1e9:
            return True
        return now - self._since >= (QUIET_SECONDS if tree(spans).complete else QUIET_INCOMPLETE_SECONDS)
