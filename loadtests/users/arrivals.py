"""When a user's next call is due.

Closed loop: when the last is answered; latency is the time from sending to the last byte. Open loop: at a constant rate,
whatever became of the last; latency counts from when the call was due, so that a server that stalls cannot hide it by
keeping the client from asking (coordinated omission).
"""

import random
from collections.abc import Callable


class ClosedLoop:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def next(self) -> float:
        """When the call that may be made now was due, in seconds on the clock."""
        return self._now()


class OpenLoop:
    """calls_per_second: of this user alone. The first is due at a random moment of its interval, so users do not march in step."""

    def __init__(
        self,
        calls_per_second: float,
        now: Callable[[], float],
        sleep: Callable[[float], None],
        phase: Callable[[], float] = random.random,
    ) -> None:
        self._interval_seconds = 1 / calls_per_second
        self._now, self._sleep = now, sleep
        self._due = now() + phase() * self._interval_seconds

    def next(self) -> float:
        """Waits until the next call is due, and returns when that was: in the past, if the last call took too long."""
        due, self._due = self._due, self._due + self._interval_seconds
        early = due - self._now()
        if early > 0:
            self._sleep(early)
        return due
