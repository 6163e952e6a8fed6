"""Values with a pause after each: the one clock of both twins.

Rules: a pause is never shorter than it was asked for, but that the next makes up for what a timer was late, one
millisecond at most; so `count` pauses take count times delay_ms at least, and hardly longer. A consumer that was
slow is not caught up with: there are no bursts.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from time import monotonic

from services.rules import Numbers

TIMER_SECONDS = 0.001  # the grain of uvloop's timers: a sleep ends up to one such too early or too late


async def paced(numbers: Numbers) -> AsyncIterator[int]:
    """1, 2, ... `numbers.count`, each followed by its pause."""
    delay_seconds = numbers.delay_ms / 1_000
    due = monotonic()
    for value in range(1, numbers.count + 1):
        yield value
        if delay_seconds:
            due = max(due, monotonic() - TIMER_SECONDS) + delay_seconds
            await _until(due)


async def _until(due: float) -> None:
    left_ms = math.ceil((due - monotonic()) * 1_000)
    while left_ms > 0:
        await asyncio.sleep(left_ms / 1_000)
        left_ms = math.ceil((due - monotonic()) * 1_000)  # a timer that came too soon sleeps again
