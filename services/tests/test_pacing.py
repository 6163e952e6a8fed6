"""The clock of B and B-REST: never sooner than promised, hardly later, no bursts."""

import asyncio
from itertools import pairwise
from time import monotonic

import pytest
import uvloop

from services.pacing import TIMER_SECONDS, paced
from services.rules import Numbers


async def _times(numbers: Numbers, slow_at: int = 0, slow_seconds: float = 0.0) -> list[float]:
    """When each value came, and at the end when all was over; in seconds since the start."""
    start, times = monotonic(), []
    async for value in paced(numbers):
        times.append(monotonic() - start)
        if value == slow_at:
            await asyncio.sleep(slow_seconds)
    return [*times, monotonic() - start]


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_ten_pauses_of_5_ms_take_50_ms_at_least_and_do_not_drift(run: object) -> None:
    spans = [run(_times(Numbers(10, 5)))[-1] for _ in range(5)]  # type: ignore[operator]
    assert min(spans) >= 0.050  # uvloop's timers alone end up to a millisecond too soon, each
    assert min(spans) < 0.055


def test_every_pause_is_as_long_as_asked_but_for_the_grain_of_the_timer() -> None:
    times = uvloop.run(_times(Numbers(50, 4)))
    assert all(later - sooner >= 0.004 - 2 * TIMER_SECONDS for sooner, later in pairwise(times))


def test_a_slow_consumer_is_not_caught_up_with_in_a_burst() -> None:
    times = uvloop.run(_times(Numbers(6, 20), slow_at=2, slow_seconds=0.1))
    assert all(later - sooner >= 0.018 for sooner, later in pairwise(times[2:]))


def test_without_a_delay_there_is_no_pause() -> None:
    assert uvloop.run(_times(Numbers(10_000, 0)))[-1] < 0.5


async def test_the_values_are_1_to_count() -> None:
    assert [value async for value in paced(Numbers(5, 0))] == [1, 2, 3, 4, 5]
