"""One cell over its repetitions: what counted, what was voided and why, what failed. Pure.

Rules: a voided run counts for nothing but is never forgotten; of a repetition that was run again the last run that
counts is taken; what is no finite number is "not known" (nan), never zero.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from loadtests.errors import UnreadableResults
from loadtests.findings.intervals import Interval, interval
from loadtests.model.cells import JOURNEYS, PATHS, Cell
from loadtests.model.measurements import Measurement, merged

CAUSES_MAX: Final = 12  # of errors, told by name in a cell; the others as one number
MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    words: str
    lower_is_better: bool


THROUGHPUT: Final = Metric("throughput", "calls/s", lower_is_better=False)
MEAN: Final = Metric("mean_us", "mean", lower_is_better=True)
P50: Final = Metric("p50_us", "p50", lower_is_better=True)
P90: Final = Metric("p90_us", "p90", lower_is_better=True)
P99: Final = Metric("p99_us", "p99", lower_is_better=True)
METRICS: Final = (THROUGHPUT, MEAN, P50, P90, P99)

UNKNOWN: Final = interval([])
Figures = dict[str, float]  # metric's name -> value


@dataclass(frozen=True, slots=True)
class Summary:
    cell: Cell
    runs: dict[int, Figures] = field(default_factory=dict)  # repetition -> figures, of the runs that count
    voided: tuple[tuple[int, str], ...] = ()  # repetition and why
    calls: int = 0  # answered, in the runs that count
    errors: dict[str, int] = field(default_factory=dict)  # cause -> calls, the most frequent first
    cpu_us: dict[str, Interval] = field(default_factory=dict)  # kind of process -> CPU time a call
    cpu_us_whole: Interval = UNKNOWN  # of all processes but the generator's
    pss_mb: dict[str, Interval] = field(default_factory=dict)  # kind of process -> memory

    def values(self, metric: Metric, repetitions: Iterable[int] | None = None) -> list[float]:
        chosen = sorted(self.runs) if repetitions is None else repetitions
        return [self.runs[repetition].get(metric.name, math.nan) for repetition in chosen]

    def interval(self, metric: Metric) -> Interval:
        return interval(self.values(metric))

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def failed_share(self) -> float:
        asked = self.failed + self.calls
        return self.failed / asked if asked else 0.0


def summarise(measurements: Iterable[Measurement]) -> dict[Cell, Summary]:
    """Every cell that was measured, in the order in which the cells are read. Raises: UnreadableResults."""
    by_cell: dict[Cell, list[Measurement]] = {}
    for measurement in measurements:
        by_cell.setdefault(measurement.cell, []).append(measurement)
    return {cell: _summary(cell, by_cell[cell]) for cell in sorted(by_cell, key=reading_order)}


def reading_order(cell: Cell) -> tuple[object, ...]:
    """The report's journey first, closed loops before open ones, the usual before its factors, few users before many;
    the gRPC path before the others."""
    question = cell.question
    usual = Cell("", cell.journey, cell.users, cell.rate)
    place = (_place(cell.journey, tuple(JOURNEYS)), cell.rate > 0, question != usual, question)
    return (*place, _place(cell.path, tuple(PATHS)), cell.path, cell.variant)


def figures(measurement: Measurement) -> Figures:
    """Raises: UnreadableResults."""
    try:
        latencies = merged(measurement.routes.values())
    except ValueError as error:
        where = f"{measurement.cell}, repetition {measurement.repetition}"
        raise UnreadableResults(f"{where} has latencies that cannot be read: {error}") from None
    p50_us, p90_us, p99_us = latencies.percentiles_us([50, 90, 99])
    return {
        THROUGHPUT.name: _known(lambda: measurement.throughput),
        MEAN.name: _known(lambda: measurement.mean_us),
        P50.name: p50_us,
        P90.name: p90_us,
        P99.name: p99_us,
    }


def _summary(cell: Cell, measured: Sequence[Measurement]) -> Summary:
    counted = {m.repetition: m for m in measured if not m.voided}
    errors: Counter[str] = Counter()
    for measurement in counted.values():
        for route in measurement.routes.values():
            errors.update(route.errors)
    return Summary(
        cell,
        runs={repetition: figures(counted[repetition]) for repetition in sorted(counted)},
        voided=tuple((m.repetition, m.voided) for m in measured if m.voided),
        calls=sum(m.calls for m in counted.values()),
        errors=dict(errors.most_common()),
        cpu_us=_by_kind(counted.values(), lambda m, kind: m.cpu_us_per_call(kind)),
        cpu_us_whole=interval([m.cpu_us_per_call() for m in counted.values() if m.processes]),
        pss_mb=_by_kind(counted.values(), _pss_mb),
    )


def _by_kind(measured: Iterable[Measurement], value: Callable[[Measurement, str], float]) -> dict[str, Interval]:
    used = [m for m in measured if m.processes]
    kinds = sorted({process.kind for m in used for process in m.processes if process.kind})
    return {kind: interval([value(m, kind) for m in used]) for kind in kinds}


def _pss_mb(measurement: Measurement, kind: str) -> float:
    return sum(p.pss_bytes for p in measurement.processes if p.kind == kind) / MB


def _known(figure: Callable[[], float]) -> float:
    try:
        value = figure()
    except (ZeroDivisionError, OverflowError):  # of results that nobody measured: a window of 0 s, a sum beyond floats
        return math.nan
    return value if math.isfinite(value) else math.nan


def _place(name: str, names: Sequence[str]) -> int:
    return names.index(name) if name in names else len(names)
