"""What repeated measurements allow to say."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.findings.intervals import compared, interval, paired_ratio


def test_an_interval_is_students_t_over_the_repetitions() -> None:
    found = interval([10.0, 12.0, 11.0, 13.0, 9.0])
    assert found.mean == 11.0
    # t(0.975, 4) = 2.776; the standard error is 1.581 / sqrt(5)
    assert found.half_width == pytest.approx(2.776 * 1.5811 / math.sqrt(5), rel=1e-3)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 100.0], [math.nan] * 9])
def test_too_few_repetitions_have_no_interval_and_name_no_winner(values: list[float]) -> None:
    assert not compared(values, [value + 50 for value in values], lower_is_better=True).winner


def test_a_run_without_an_answer_is_left_out() -> None:
    assert interval([1.0, 2.0, math.nan, 3.0]).n == 3


def test_the_faster_arm_wins_where_intervals_do_not_overlap() -> None:
    slow, fast = [10.0, 10.1, 9.9, 10.0], [5.0, 5.1, 4.9, 5.0]
    assert compared(slow, fast, lower_is_better=True).winner == "b"
    assert compared(slow, fast, lower_is_better=False).winner == "a"
    assert compared(slow, fast, lower_is_better=True).factor == pytest.approx(2.0, rel=0.02)


def test_no_winner_is_named_where_intervals_overlap() -> None:
    verdict = compared([10.0, 11.0, 9.0, 10.5], [9.5, 10.5, 8.5, 10.0], lower_is_better=True)
    assert verdict.a.overlaps(verdict.b)
    assert not verdict.winner


def test_what_slows_the_whole_machine_down_falls_out_of_a_ratio() -> None:
    drift = [1.0, 3.0, 2.0, 5.0, 1.5]
    ratio = paired_ratio([10 * d for d in drift], [20 * d for d in drift])
    assert (ratio.low, ratio.mean, ratio.high) == pytest.approx((2.0, 2.0, 2.0))


@given(st.lists(st.floats(0.001, 1e9), min_size=3, max_size=30))
def test_an_interval_holds_its_mean(values: list[float]) -> None:
    found = interval(values)
    assert found.low <= found.mean * (1 + 1e-9)
    assert found.high >= found.mean * (1 - 1e-9)


def test_two_equal_arms_come_out_without_a_difference_in_nineteen_of_twenty_trials() -> None:
    chance = random.Random(1)
    named = sum(
        bool(
            compared(
                [chance.gauss(100, 10) for _ in range(10)],
                [chance.gauss(100, 10) for _ in range(10)],
                lower_is_better=True,
            ).winner
        )
        for _ in range(1_000)
    )
    assert named <= 50
