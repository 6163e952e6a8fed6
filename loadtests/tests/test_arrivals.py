"""When calls are due."""

import pytest

from loadtests.users.arrivals import ClosedLoop, OpenLoop


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_in_a_closed_loop_a_call_is_due_when_the_last_is_answered() -> None:
    clock = Clock()
    loop = ClosedLoop(clock)
    assert loop.next() == 100.0
    clock.now += 7
    assert loop.next() == 107.0


def test_in_an_open_loop_calls_are_due_at_a_constant_rate() -> None:
    clock = Clock()
    loop = OpenLoop(10.0, clock, clock.sleep, phase=lambda: 0.5)
    assert [loop.next() for _ in range(3)] == pytest.approx([100.05, 100.15, 100.25])
    assert clock.now == pytest.approx(100.25)  # it waited for each


def test_a_stall_does_not_put_off_when_later_calls_were_due() -> None:
    """So the latency of every call that the stall held up counts from its own time: coordinated omission cannot hide it."""
    clock = Clock()
    loop = OpenLoop(10.0, clock, clock.sleep, phase=lambda: 0.0)
    assert loop.next() == pytest.approx(100.0)
    clock.now += 1.0  # the first call takes a second
    due = [loop.next() for _ in range(10)]
    assert due == pytest.approx([100.1 + n / 10 for n in range(10)])
    assert clock.now == pytest.approx(101.0)  # none of them was waited for
    assert loop.next() == pytest.approx(101.1)
    assert clock.now == pytest.approx(101.1)  # caught up
