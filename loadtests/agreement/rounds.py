"""Run the same closed-loop cells with our generator and with other people's tools, in turn. What comes of it is kept as it is
(loadtests/agreement/kept.py), for loadtests/agreement/ratios.py to judge.

Rules: never two at once; every round runs each once, in random order by a seed, so that what drifts on the machine falls
on all of them alike. A tool that is missing or cannot run a cell is left out from then on, with its reason; one that
fails is tried again in the next round.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from loadtests.agreement.kept import CellRounds
from loadtests.agreement.tools import TOOLS
from loadtests.agreement.tools.result import CannotRun, Load, NotInstalled, ToolError, ToolResult
from loadtests.model.cells import Cell
from loadtests.model.measurements import Measurement, merged

OURS = "locust"
Ours = Callable[[Cell, float], ToolResult]  # our generator on one cell, for so many seconds

# one of each kind: what k6's users know, and each route on each path that a tool speaks
CELLS = (
    Cell("grpc", "report", 25),
    Cell("rest", "report", 25),
    *(Cell(path, journey, 25) for path in ("grpc", "rest", "native") for journey in ("a", "b")),
)


@dataclass(frozen=True, slots=True)
class Plan:
    hosts: Mapping[str, str]  # path -> "localhost:8080"
    cells: Sequence[Cell] = CELLS
    seconds: float = 10.0
    warmup_seconds: float = 3.0
    rounds: int = 5
    seed: int = 1
    tools: Mapping[str, Callable[[Load], ToolResult]] = field(default_factory=lambda: TOOLS)


def check(plan: Plan, ours: Ours, *, cores: int, say: Callable[[str], None] = lambda _: None) -> Iterator[CellRounds]:
    """Run the plan; the rounds of each cell as they are done. ours: warms up by itself. say: is told what is about to run,
    and what failed."""
    chance = random.Random(plan.seed)
    for cell in plan.cells:
        yield _of_cell(plan, cell, ours, chance, cores, say)


def as_result(measurement: Measurement, version: str, cores: int) -> ToolResult:
    """A measurement of ours in the form that the other tools' results have."""
    histogram = merged(measurement.routes.values())
    errors = sum((Counter(route.errors) for route in measurement.routes.values()), Counter[str]())
    used = sum(process.cpu_seconds for process in measurement.processes)
    return ToolResult(
        OURS,
        version,
        calls=measurement.calls,
        seconds=measurement.seconds,
        min_us=histogram.percentile_us(0),
        mean_us=measurement.mean_us,
        p50_us=histogram.percentile_us(50),
        p95_us=histogram.percentile_us(95),
        p99_us=histogram.percentile_us(99),
        max_us=histogram.max_us,
        errors=dict(errors),
        cpu_seconds=sum(process.cpu_seconds for process in measurement.processes if process.kind == "generator"),
        machine_busy=min(1.0, (used / measurement.seconds + measurement.foreign_cores) / cores),
    )


def _of_cell(
    plan: Plan, cell: Cell, ours: Ours, chance: random.Random, cores: int, say: Callable[[str], None]
) -> CellRounds:
    runs = {name: _theirs(plan, cell, run) for name, run in plan.tools.items()}
    runs[OURS] = lambda: ours(cell, plan.seconds)
    absent: dict[str, str] = {}
    rounds = []
    for number in range(1, plan.rounds + 1):
        found: dict[str, ToolResult] = {}
        for name in chance.sample(sorted(runs), len(runs)):
            say(f"{cell}: {name}, round {number} of {plan.rounds}")
            try:
                found[name] = runs[name]()
            except (NotInstalled, CannotRun) as error:
                absent[name] = str(error)
                del runs[name]
            except ToolError as error:
                absent[name] = f"{name} failed in round {number}: {error}"
                say(absent[name])
        rounds.append(found)
    return CellRounds(cell, OURS, cores, tuple(rounds), absent)


def _theirs(plan: Plan, cell: Cell, run: Callable[[Load], ToolResult]) -> Callable[[], ToolResult]:
    load = Load(cell, plan.hosts[cell.path], plan.seconds, plan.warmup_seconds)
    return lambda: run(load)
