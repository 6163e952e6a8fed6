"""What a run of the comparison found: which arm is faster, by how much, and how sure that is. Pure.

Rules: arms are compared over the repetitions that count on both sides, pair by pair; a winner is named only where the
intervals do not overlap, and never from fewer than three repetitions; the control is said first; an arm's errors are said
in the same sentence as its speed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from loadtests.findings.accounts import Account, accounts
from loadtests.findings.control import Control, control, verdict_metrics
from loadtests.findings.intervals import REPETITIONS_MIN, Verdict, compared
from loadtests.findings.summaries import MEAN, METRICS, Metric, Summary, reading_order, summarise
from loadtests.model.cells import Cell
from loadtests.model.measurements import Measurement
from loadtests.model.plan import AGAIN, BESIDE
from loadtests.model.runs import Run

# what is compared with what, in order of interest; the ratio is the second over the first
PAIRS: Final = (
    ("grpc", "rest"),
    ("grpc", "native"),
    ("native", "direct-grpc"),
    ("rest", "direct-rest"),
    ("direct-grpc", "direct-rest"),
    ("reference-grpc", "grpc"),
    ("reference-rest", "rest"),
    ("reference-grpc", "reference-rest"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms of one question. Without verdicts where too few repetitions count on both sides."""

    a: Summary
    b: Summary
    repetitions: tuple[int, ...]  # that count on both sides
    verdicts: dict[str, Verdict]  # metric's name -> verdict

    @property
    def question(self) -> Cell:
        return self.a.cell.question

    @property
    def is_main(self) -> bool:
        return (self.a.cell.arm, self.b.cell.arm) == PAIRS[0]

    def winner(self, metric: Metric = MEAN) -> Cell | None:
        """The arm that is better by `metric`; None where no difference can be told."""
        verdict = self.verdicts.get(metric.name)
        return {"a": self.a.cell, "b": self.b.cell}.get(verdict.winner) if verdict else None


@dataclass(frozen=True, slots=True)
class Findings:
    run: Run
    summaries: dict[Cell, Summary]  # of every cell that was measured, in reading order
    control: Control
    comparisons: tuple[Comparison, ...]  # gRPC against REST first
    unmeasured: tuple[Cell, ...]  # planned, and not one run of them kept
    accounts: tuple[Account, ...]  # where the time of traced calls goes, in reading order

    @property
    def main(self) -> tuple[Comparison, ...]:
        return tuple(comparison for comparison in self.comparisons if comparison.is_main)

    @property
    def voided(self) -> int:
        return sum(len(summary.voided) for summary in self.summaries.values())


def find(run: Run, measurements: Iterable[Measurement]) -> Findings:
    """Raises: UnreadableResults (a histogram that is none)."""
    measured = list(measurements)
    summaries = summarise(measured)
    cells = sorted({*run.cells, *summaries}, key=reading_order)
    return Findings(
        run,
        summaries,
        control(summaries, run.cells, run.seed),
        tuple(_comparisons(cells, summaries)),
        tuple(cell for cell in cells if cell not in summaries),
        accounts(run, measured),
    )


def compare(a: Summary, b: Summary, metrics: Sequence[Metric] = METRICS) -> Comparison:
    both = tuple(sorted(a.runs.keys() & b.runs.keys()))
    verdicts = {}
    if len(both) >= REPETITIONS_MIN:
        for metric in metrics:
            left, right = a.values(metric, both), b.values(metric, both)
            verdicts[metric.name] = compared(left, right, lower_is_better=metric.lower_is_better)
    return Comparison(a, b, both, verdicts)


def _comparisons(cells: Sequence[Cell], summaries: dict[Cell, Summary]) -> Iterable[Comparison]:
    questions: dict[Cell, list[Cell]] = {}
    for cell in cells:
        questions.setdefault(cell.question, []).append(cell)
    for a, b in PAIRS:
        for question, arms in questions.items():
            left, right = replace(question, path=a), replace(question, path=b)
            if left in arms and right in arms:
                yield _comparison(left, right, summaries)
    for cell in cells:
        if cell.variant in ("", AGAIN, BESIDE):
            continue
        arms = questions[cell.question]
        usual = next((arm for arm in (replace(cell, variant=BESIDE), replace(cell, variant="")) if arm in arms), None)
        if usual:
            yield _comparison(usual, cell, summaries)


def _comparison(a: Cell, b: Cell, summaries: dict[Cell, Summary]) -> Comparison:
    return compare(summaries.get(a, Summary(a)), summaries.get(b, Summary(b)), verdict_metrics(a))
