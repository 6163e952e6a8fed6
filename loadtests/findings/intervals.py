"""What repeated measurements say, and what they do not. Pure.

Rules:
- The unit is the repetition, never the request: requests of one run are not independent, and millions of them make any
  difference look sure. An interval is Student's t over the repetitions, 95 %.
- A ratio is taken pair by pair, of runs that lay side by side in time, on the logarithm: what slows the whole machine
  down for a while slows both, and falls out.
- A winner is named only where the two intervals do not overlap. That is stricter than a test of the difference, so of
  two equal arms it names one in far less than 5 % of all cases.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, stdev

CONFIDENCE = 0.95
REPETITIONS_MIN = 3  # fewer say nothing of how much they scatter


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over repetitions and its 95 % confidence interval; low and high are nan where there are too few."""

    mean: float
    low: float
    high: float
    n: int

    def overlaps(self, other: "Interval") -> bool:
        """Whether they could be the same; where one of them is unknown, they could."""
        return not (self.high < other.low or other.high < self.low)

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """One metric of two arms, compared."""

    a: Interval
    b: Interval
    ratio: Interval  # b over a, of pairs
    winner: str  # "a", "b", or "" where the intervals overlap

    @property
    def factor(self) -> float:
        """How many times better the winner is; at least 1, but for pairs that contradict their means."""
        return max(self.ratio.mean, 1 / self.ratio.mean)


def interval(values: Sequence[float]) -> Interval:
    """Of the values of repetitions; those that are no number (a run without an answer) are left out."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = fmean(known)
    if len(known) < REPETITIONS_MIN:
        return Interval(mean, math.nan, math.nan, len(known))
    half = _t(len(known) - 1) * stdev(known) / math.sqrt(len(known))
    return Interval(mean, mean - half, mean + half, len(known))


def paired_ratio(a: Sequence[float], b: Sequence[float]) -> Interval:
    """b over a, of pairs in order: the geometric mean and its interval. Pairs without two positive values are left out."""
    logs = [math.log(y / x) for x, y in zip(a, b, strict=True) if x > 0 and y > 0]  # nan > 0 is false
    of_logs = interval(logs)
    return Interval(math.exp(of_logs.mean), math.exp(of_logs.low), math.exp(of_logs.high), of_logs.n)


def compared(a: Sequence[float], b: Sequence[float], *, lower_is_better: bool) -> Verdict:
    """The verdict on one metric of two arms; `a` and `b` hold one value a repetition, side by side."""
    of_a, of_b = interval(a), interval(b)
    return Verdict(of_a, of_b, paired_ratio(a, b), winner(of_a, of_b, lower_is_better=lower_is_better))


def winner(a: Interval, b: Interval, *, lower_is_better: bool) -> str:
    """ "a" or "b"; "" where the intervals overlap, or one of them is unknown."""
    if a.overlaps(b):
        return ""
    return "a" if (a.mean < b.mean) == lower_is_better else "b"


@cache
def _t(degrees_of_freedom: int) -> float:
    """The two-sided 95 % quantile of Student's t."""
    from scipy.stats import t  # a second of import that `--help` need not pay

    return float(t.ppf((1 + CONFIDENCE) / 2, degrees_of_freedom))
