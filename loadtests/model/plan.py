"""Which cells a run of the comparison measures, how long, and in which order. Pure.

Rules: repetitions are interleaved: each repetition measures every cell once, in a random order of its own, drawn from the
run's seed, so that what changes on the machine in the course of a run falls on all cells alike. The order follows from
plan and seed alone: an interrupted run goes on where it stopped.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from loadtests.model.cells import RAMP, Cell

BOTH: Final = ("grpc", "rest")
ALL: Final = (*BOTH, "native", "direct-grpc", "direct-rest")  # of ours
AGAIN: Final = "again"  # variant of the A/A control
BESIDE: Final = "beside"  # variant that is no other mesh, but another one: what the others are compared with
# Of calls. Tracing all of them costs half as much CPU time again, so each per cent costs half a per cent. The windows of a
# quick run are short: at 1 % the sum of the parts scatters by 3 to 7 % from run to run, at 3 % by 1 to 3 %.
SAMPLED_PERCENT: Final = 1.0
SHORT_SAMPLED_PERCENT: Final = 3.0  # where windows are short: else a split by hop stands on a handful of traces
BETWEEN_SECONDS: Final = 0.5  # users stop and start
PAYLOADS: Final = (10, 1_000, 10_000, 100_000, 1_000_000)  # bytes


@dataclass(frozen=True, slots=True)
class Plan:
    kind: str
    cells: tuple[Cell, ...]
    repetitions: int
    window_seconds: float  # at few users; more users get more
    warmup_seconds: float
    sampled_percent: float = SAMPLED_PERCENT  # of the calls, which are traced; of all arms the same

    def window(self, cell: Cell) -> float:
        """Seconds that count: with thousands of users an answer takes a second or two, and some hundred of them are needed."""
        return self.window_seconds + cell.users / 800

    def warmup(self, cell: Cell) -> float:
        return self.warmup_seconds + cell.users / 1_000

    def steps(self, seed: int) -> Iterator[tuple[int, Cell]]:
        """Repetition (from 1) and cell, in the order in which they are measured."""
        for repetition in range(1, self.repetitions + 1):
            order = list(self.cells)
            random.Random(f"{seed}/{repetition}").shuffle(order)
            yield from ((repetition, cell) for cell in order)

    def seconds(self) -> float:
        """How long all of it takes, about."""
        return self.repetitions * sum(map(self.seconds_of, self.cells))

    def seconds_of(self, cell: Cell) -> float:
        """How long one measurement of `cell` takes, about."""
        return self.window(cell) + self.warmup(cell) + BETWEEN_SECONDS


def quick(repetitions: int = 5) -> Plan:
    """A first verdict in little more than a minute."""
    control = Cell("grpc", "a", 25, variant=AGAIN)
    cells = (*_each(BOTH, Cell("", "a", 25)), control, *_each(BOTH, Cell("", "b", 25)))
    return Plan("quick", cells, repetitions, 1.2, 0.5, SHORT_SAMPLED_PERCENT)


def default(repetitions: int = 10) -> Plan:
    """The original report's table, A and B alone, a control, an open loop, and what is needed to split the difference: 20 minutes."""
    ramp = [cell for users in RAMP for cell in _each(BOTH, Cell("", "report", users))]
    cells = (
        *ramp,
        *_each((*BOTH, "native"), Cell("", "a", 25)),
        Cell("grpc", "a", 25, variant=AGAIN),
        *_each(BOTH, Cell("", "b", 25)),
        # hops are left out at a rate that every path keeps: in a closed loop a service alone outruns the generator
        *_each(ALL, Cell("", "a", 100, rate=500.0)),
    )
    return Plan("default", cells, repetitions, 1.7, 0.8, SHORT_SAMPLED_PERCENT)


def full(repetitions: int = 10) -> Plan:
    """All factors: hours, not minutes."""
    cells = [
        *default().cells,
        *(cell for users in (200, 800) for journey in ("a", "b") for cell in _each(BOTH, Cell("", journey, users))),
        *_each(ALL[2:], Cell("", "b", 25)),
        *(cell for rate in (100.0, 1_000.0, 1_500.0) for cell in _each(BOTH, Cell("", "a", 100, rate=rate))),
        *(
            cell
            for count, delay_ms in product((1, 10, 100), (0, 5, 20))
            if (count, delay_ms) != (10, 5)
            for cell in _each(BOTH, Cell("", "b", 25, count=count, delay_ms=delay_ms))
        ),
        *_each(BOTH, Cell("", "a", 25, reuse=False)),
        *_each(BOTH, Cell("", "a", 25, http="2")),
        *(
            cell
            for payload_bytes in PAYLOADS
            for cell in _each((*BOTH, "native"), Cell("", "echo", 10, payload_bytes=payload_bytes))
        ),
        *(
            replace(cell, variant=variant)
            for variant in (BESIDE, "journal-off", "tracing-off")
            for cell in (Cell("grpc", "a", 25), Cell("grpc", "b", 200))
        ),
    ]
    return Plan("full", tuple(dict.fromkeys(cells)), repetitions, window_seconds=3.0, warmup_seconds=1.0)


def with_reference(plan: Plan) -> Plan:
    """`plan`, and the original report's system beside it: on its own journey, and on A and B where the targets are."""
    reference = ("reference-grpc", "reference-rest")
    ramp = [cell for users in RAMP for cell in _each(reference, Cell("", "report", users))]
    mine = [cell for users in (25, 200, 800) for cell in _each(("grpc", *reference), Cell("", "b", users))]
    mine += [cell for users in (25, 200) for cell in _each(("grpc", *reference), Cell("", "a", users))]
    wanted = [cell for cell in ramp if any(cell.question == mine.question for mine in plan.cells)]
    if plan.kind == "quick":
        wanted, mine = [], _each(reference, Cell("", "a", 25)) + _each(reference, Cell("", "b", 25))
    return replace(plan, cells=tuple(dict.fromkeys((*plan.cells, *wanted, *mine))))


def _each(paths: Iterable[str], cell: Cell) -> list[Cell]:
    return [replace(cell, path=path) for path in paths]
