"""The procedure itself: of equal things it says "no difference", of different ones which is better."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from loadtests.findings.control import SHARE_MIN, control
from loadtests.findings.intervals import REPETITIONS_MIN, compared, interval
from loadtests.findings.summaries import summarise
from loadtests.model.cells import Cell
from loadtests.model.plan import AGAIN
from loadtests.tests.made import made, repeated

TRIALS = 2_000
A = Cell("grpc", "a", 25)
A_AGAIN = replace(A, variant=AGAIN)

Noise = Callable[[random.Random], Iterator[float]]


def normal(chance: random.Random) -> Iterator[float]:
    while True:
        yield 100 * chance.gauss(1, 0.02)


def skewed(chance: random.Random) -> Iterator[float]:
    """A machine that is now and then disturbed, and then for long."""
    while True:
        yield 100 * chance.lognormvariate(0, 0.5)


def drifting(chance: random.Random) -> Iterator[float]:
    """A machine that becomes slower, by a fifth over ten repetitions."""
    place = 0
    while True:
        yield 100 * (1 + place * 0.01) * chance.gauss(1, 0.02)
        place += 1


@pytest.mark.parametrize("repetitions", [REPETITIONS_MIN, 10])
@pytest.mark.parametrize("noise", [normal, skewed, drifting])
def test_of_equal_arms_no_winner_is_named_in_at_least_95_percent_of_trials(noise: Noise, repetitions: int) -> None:
    equal = 0
    for trial in range(TRIALS):
        machine = noise(random.Random(trial))
        a, b = [], []
        for _ in range(repetitions):  # interleaved, as runs are
            a.append(next(machine))
            b.append(next(machine))
        equal += not compared(a, b, lower_is_better=True).winner
    assert equal / TRIALS >= SHARE_MIN


@pytest.mark.parametrize("repetitions", [5, 10])
def test_a_difference_of_10_percent_is_found_in_noise_of_2_percent(repetitions: int) -> None:
    found = 0
    for trial in range(TRIALS):
        machine = normal(random.Random(trial))
        a = [next(machine) for _ in range(repetitions)]
        b = [next(machine) * 1.1 for _ in range(repetitions)]
        found += compared(a, b, lower_is_better=True).winner == "a"
    assert found / TRIALS >= 0.99


def test_a_machine_that_equals_itself_passes_the_control() -> None:
    cells = [A, A_AGAIN]
    found = control(summarise(repeated(cells)), cells, seed=7)
    assert (found.judged, found.failed) == (True, False)
    assert found.pairs.made == 4
    assert found.splits.made == 4_000


def test_one_pair_that_differs_is_not_hidden_by_thousands_of_splits() -> None:
    slow = [made(A_AGAIN, repetition, slower=1.5) for repetition in range(1, 11)]
    found = control(summarise([*repeated([A]), *slow]), [], seed=7)
    assert found.failed
    assert found.splits.hold
    assert len(found.differing) == 4


def test_the_splits_are_the_same_for_the_same_seed() -> None:
    summaries = summarise(repeated([A, A_AGAIN]))
    assert control(summaries, [], seed=7) == control(summaries, [], seed=7)


def test_too_few_repetitions_or_no_answers_judge_nothing() -> None:
    few = control(summarise(repeated([A, A_AGAIN], repetitions=2)), [], seed=7)
    assert (few.asked, few.judged, few.failed) == (1, False, False)
    silent = [replace(m, routes={}) for m in repeated([A, A_AGAIN])]
    assert control(summarise(silent), [], seed=7).differing == ()


def test_what_is_no_finite_number_is_left_out_of_an_interval() -> None:
    assert interval([1.0, math.nan, 2.0, math.inf, 3.0]).n == 3
    assert math.isnan(interval([math.inf]).mean)
