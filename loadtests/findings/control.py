"""The A/A control: the same thing measured twice must show no difference, or no difference in this run means anything. Pure.

Two kinds of trials, each of which must say "no difference" in at least 95 %:
- pairs: every cell with the variant "again" against the same cell without, each metric one trial. This finds a machine or
  an order of runs that favours one side.
- splits: the runs of such a pair thrown together and parted at random, each metric one trial. This finds a procedure that
  sees differences in noise.
They are not thrown together: thousands of splits would hide the one pair that differs.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from loadtests.findings.intervals import REPETITIONS_MIN, interval, winner
from loadtests.findings.summaries import MEAN, P50, P99, THROUGHPUT, Metric, Summary
from loadtests.model.cells import Cell
from loadtests.model.plan import AGAIN

SHARE_MIN: Final = 0.95
SPLITS: Final = 1_000  # of all pairs together, but at least SPLITS_A_PAIR_MIN of each
SPLITS_A_PAIR_MIN: Final = 100


@dataclass(frozen=True, slots=True)
class Trials:
    equal: int = 0  # that said "no difference can be told"
    made: int = 0

    @property
    def share(self) -> float:
        return self.equal / self.made if self.made else float("nan")

    @property
    def hold(self) -> bool:
        return not self.made or self.share >= SHARE_MIN


@dataclass(frozen=True, slots=True)
class Control:
    asked: int = 0  # cells that were to be measured again
    pairs: Trials = Trials()
    splits: Trials = Trials()
    differing: tuple[str, ...] = ()  # the pairs and metrics that did differ, in words

    @property
    def judged(self) -> bool:
        return self.pairs.made > 0

    @property
    def failed(self) -> bool:
        return not (self.pairs.hold and self.splits.hold)


def verdict_metrics(cell: Cell) -> tuple[Metric, ...]:
    """What arms are compared by. In an open loop the rate is given, and throughput says nothing of the arm."""
    return (MEAN, P50, P99) if cell.rate else (THROUGHPUT, MEAN, P50, P99)


def control(summaries: Mapping[Cell, Summary], planned: Iterable[Cell], seed: int) -> Control:
    again = sorted({cell for cell in [*planned, *summaries] if cell.variant == AGAIN})
    couples = []
    for cell in again:
        first, second = summaries.get(replace(cell, variant="")), summaries.get(cell)
        if first and second and len(first.runs.keys() & second.runs.keys()) >= REPETITIONS_MIN:
            couples.append((first, second))
    differing, made = [], 0
    for first, second in couples:
        both = sorted(first.runs.keys() & second.runs.keys())
        for metric in verdict_metrics(first.cell):
            a, b = interval(first.values(metric, both)), interval(second.values(metric, both))
            if min(a.n, b.n) < REPETITIONS_MIN:  # without answers there is nothing to be equal
                continue
            made += 1
            if winner(a, b, lower_is_better=metric.lower_is_better):
                differing.append(f"{first.cell}: {metric.words}")
    pairs = Trials(made - len(differing), made)
    return Control(len(again), pairs, _splits(couples, seed), tuple(differing))


def _splits(couples: list[tuple[Summary, Summary]], seed: int) -> Trials:
    chance = random.Random(seed)
    equal = made = 0
    for first, second in couples:
        runs = [*first.runs.values(), *second.runs.values()]
        for _ in range(max(SPLITS // len(couples), SPLITS_A_PAIR_MIN)):
            chance.shuffle(runs)
            half = len(runs) // 2
            for metric in verdict_metrics(first.cell):
                a = interval([run[metric.name] for run in runs[:half]])
                b = interval([run[metric.name] for run in runs[half:]])
                if min(a.n, b.n) >= REPETITIONS_MIN:
                    made += 1
                    equal += not winner(a, b, lower_is_better=metric.lower_is_better)
    return Trials(equal, made)
