"""Measure the cells of a plan, one after the other, never two at once.

    start users ─▶ warm-up ─▶ window: CPU, memory, calls ─▶ stop users ─▶ the next cell
                      └ meanwhile: traces of the cell before, which is then kept

Rules: a measurement is on the disk before the window after the next begins, so an interruption loses one at most; a run that
is begun again measures only what is missing. What spoils a measurement voids it, with the reason; it is kept, and never
counts. What is warmed up is discarded.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loadtests.generator.client import Load
from loadtests.model import measurements
from loadtests.model.cells import Cell
from loadtests.model.histogram import Histogram
from loadtests.model.measurements import Hops, Measurement, ProcessUse, RouteResult, TracedCall
from loadtests.model.plan import Plan
from loadtests.running.resources import Vanished, Watched, Window, watched

GENERATOR_BUSY_MAX = 0.9  # of one core: above it, what is measured is the generator
STEADY_FACTOR_MAX = 1.2  # by which Little's law may be missed
LONGER_WINDOWS_MAX = 3
WINDOW_SECONDS_MAX = 60.0
CALLS_PER_WINDOW = 1.5  # of each user

Split = Callable[
    [str, list[TracedCall]], tuple[Hops, ...]
]  # (where traces are asked for, calls) -> where their time went


@dataclass(frozen=True, slots=True)
class Target:
    """Where the users of one cell call, and who answers."""

    host: str
    watched: Callable[[], list[Watched]]  # raises Vanished
    sink: str = ""  # where its traces are asked for; empty: it makes none
    sampled: bool = True  # whether as many calls as the plan says ask to be traced; False: none
    settle: Callable[[], None] = lambda: None  # returns when what users left behind is done; raises PathUnusable


@dataclass(frozen=True, slots=True)
class Step:
    """How far a comparison is."""

    number: int  # from 1
    steps: int
    repetition: int
    cell: Cell
    seconds_left: float  # about


@dataclass(slots=True)
class Comparison:
    """Everything that `measure` needs. targets: of every cell of the plan."""

    plan: Plan
    seed: int
    directory: Path
    load: Load
    targets: Callable[[Cell], Target]
    split: Split
    tell: Callable[[Step], None]
    _pending: tuple[Measurement, Target, list[TracedCall]] | None = field(default=None, init=False)

    def measure(self) -> None:
        """Measure what is not yet in the directory. Raises: GeneratorUnusable, PathUnusable, OSError."""
        done = {(m.repetition, m.cell) for m in _known(self.directory)}
        steps = list(self.plan.steps(self.seed))
        left = [step for step in steps if step not in done]
        expected = [self.plan.seconds_of(cell) for _, cell in left]
        begun = time.monotonic()
        try:
            for index, (repetition, cell) in enumerate(left):
                passed = sum(expected[:index])
                pace = (time.monotonic() - begun) / passed if passed else 1.0
                number = index + 1 + len(steps) - len(left)
                self.tell(Step(number, len(steps), repetition, cell, pace * sum(expected[index:])))
                self._measure_one(repetition, cell)
        finally:
            self._keep_pending()

    def _measure_one(self, repetition: int, cell: Cell) -> None:
        target = self.targets(cell)
        self.load.start(cell, target.host, sampled_percent=self.plan.sampled_percent if target.sampled else 0.0)
        begun, begun_at = time.monotonic(), time.time()
        self._keep_pending()
        time.sleep(max(0.0, self.plan.warmup(cell) - (time.monotonic() - begun)))
        measurement, traced = self._steady_window(target, cell)
        warmup_seconds = measurement.begun_at_us / 1e6 - begun_at
        self._pending = replace(measurement, repetition=repetition, warmup_seconds=warmup_seconds), target, traced
        self.load.stop()
        target.settle()

    def _steady_window(self, target: Target, cell: Cell) -> tuple[Measurement, list[TracedCall]]:
        """The first window that is long enough for how slowly the calls are answered; those before it are warm-up."""
        seconds = self.plan.window(cell)
        measurement, traced = window(self.load, target, cell, seconds)
        for _ in range(LONGER_WINDOWS_MAX):
            if not is_unsteady(measurement):
                break
            call_seconds = cell.users / measurement.throughput if measurement.calls else seconds
            seconds = min(WINDOW_SECONDS_MAX, max(2 * seconds, CALLS_PER_WINDOW * call_seconds))
            measurement, traced = window(self.load, target, cell, seconds)
        if not measurement.voided and is_unsteady(measurement):
            share = f"{measurement.steadiness:.0%}" if measurement.calls else "none"
            measurement = replace(
                measurement, voided=f"never steady: {share} of the users' time went into answered calls"
            )
        return measurement, traced

    def _keep_pending(self) -> None:
        if self._pending is None:
            return
        measurement, target, traced = self._pending
        self._pending = None
        if traced and target.sink:
            measurement = replace(measurement, hops=self.split(target.sink, traced))
        measurements.append(measurement, self.directory)


def window(load: Load, target: Target, cell: Cell, seconds: float) -> tuple[Measurement, list[TracedCall]]:
    """Open a window of `seconds` over the users of `cell`, who run; what was seen in it, and the calls to be looked up.

    Raises: GeneratorUnusable, PathUnusable.
    """
    begun_at_us = time.time_ns() // 1_000
    seen: list[dict[str, Any]] = []
    uses: tuple[ProcessUse, ...] = ()
    others, voided = 0.0, ""
    try:
        generator = [watched(f"generator-{number}", "generator", pid) for number, pid in enumerate(load.pids)]
        used = Window([*target.watched(), *generator])
        load.begin()
        time.sleep(seconds)
        seen = load.end()
        uses, others = used.closed()
    except Vanished as error:
        voided = str(error)
        seen = seen or load.end()
    passed = sum(one["seconds"] for one in seen) / max(1, len(seen))
    busy = max((one["cpu_seconds"] / one["seconds"] for one in seen), default=0.0)
    measurement = Measurement(
        cell=cell,
        repetition=1,
        begun_at_us=begun_at_us,
        seconds=passed,
        warmup_seconds=0.0,
        routes=routes_of(seen),
        processes=uses,
        generator_busy=busy,
        foreign_cores=others / passed if passed else 0.0,
        voided=voided or _spoiled(busy),
    )
    return measurement, [TracedCall(*call) for one in seen for call in one["traced"]]


def is_unsteady(measurement: Measurement) -> bool:
    """Whether so few calls came back that their latencies are those of the fast ones."""
    if measurement.voided:
        return False
    return abs(math.log(measurement.steadiness or 1e-9)) > math.log(STEADY_FACTOR_MAX)


def routes_of(seen: list[dict[str, Any]]) -> dict[str, RouteResult]:
    """What all workers saw together (Recorder.end)."""
    routes: dict[str, RouteResult] = {}
    for name in sorted({name for one in seen for name in one["routes"]}):
        parts = [one["routes"][name] for one in seen if name in one["routes"]]
        histogram = Histogram()
        errors: dict[str, int] = {}
        for part in parts:
            histogram.add_encoded(part["histogram"])
            for cause, calls in part["errors"].items():
                errors[cause] = errors.get(cause, 0) + calls
        calls, total_us, size = (sum(part[key] for part in parts) for key in ("calls", "total_us", "bytes"))
        routes[name] = RouteResult(calls, total_us, histogram.encoded(), errors, size)
    return routes


def _spoiled(busy: float) -> str:
    if busy > GENERATOR_BUSY_MAX:
        return f"the load generator was the bottleneck: a process of it took {busy:.0%} of a core"
    return ""


def _known(directory: Path) -> list[Measurement]:
    try:
        return measurements.read(directory)
    except FileNotFoundError:
        return []
