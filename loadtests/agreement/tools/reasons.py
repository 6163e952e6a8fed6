"""Why another tool's figures are not ours: what was measured of the two, and what the tool counts. Pure.

Rules: a reason is given only for a figure that differs, and only where it can move that figure in that direction. What
can be put in figures comes with them. Where none of those explains half of a difference, that is said.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from loadtests.agreement.tools.result import ToolResult
from loadtests.findings.intervals import interval
from loadtests.model.cells import Cell

Pair = tuple[ToolResult, ToolResult]  # ours and theirs, side by side in time

FULL: Final = 0.9  # of all cores: from here on a call is served sooner only if something else takes less CPU
EXPLAINS: Final = 0.5  # of a difference: less is no explanation
MATTERS: Final = 0.02  # of a user's round: a smaller difference between calls explains nothing
THROUGHPUT: Final = "throughput"
LOWER: Final = -1
HIGHER: Final = 1


@dataclass(frozen=True, slots=True)
class Counts:
    """What a tool counts in its own way, from its documentation and source, and where that can move its figures."""

    tool: str
    sentence: str
    moves: Mapping[str, int]  # figure -> LOWER or HIGHER
    journeys: Set[str] = frozenset({"report", "a", "b"})
    share_min: float = 0.0  # of users among all calls of a run, for what happens once for each user


def _latencies(direction: int) -> dict[str, int]:
    return dict.fromkeys(("mean_us", "p50_us", "p95_us", "p99_us"), direction)


def _tail(direction: int) -> dict[str, int]:
    return dict.fromkeys(("mean_us", "p95_us", "p99_us"), direction)


COUNTS: Final = (
    Counts(
        "k6",
        "k6's latency is http_req_duration: sending, waiting and receiving the whole body; connecting and waiting for a "
        "connection are left out",
        _latencies(LOWER),
    ),
    Counts("k6", "k6 reads and checks every body in JavaScript before the same user calls again", {THROUGHPUT: LOWER}),
    Counts(
        "k6",
        "k6 waits for the calls under way at the end, and counts the time of that",
        {THROUGHPUT: LOWER},
        share_min=0.01,
    ),
    Counts("ghz", "ghz's latency of a stream runs to its last message and its status", _latencies(HIGHER), {"b"}),
    Counts("ghz", "ghz counts connecting in the first call of every connection", _tail(HIGHER), share_min=0.005),
    Counts(
        "ghz",
        "ghz leaves out the calls under way at the end",
        {THROUGHPUT: LOWER, **_tail(LOWER)},
        share_min=0.01,
    ),
    Counts(
        "wrk",
        "wrk's latency runs from writing the request to the last byte of the answer, whose body it does not look at; "
        "connecting is left out",
        _latencies(LOWER),
    ),
    Counts(
        "wrk",
        "wrk leaves out the calls under way at the end",
        {THROUGHPUT: LOWER, **_tail(LOWER)},
        share_min=0.01,
    ),
)


def reasons(cell: Cell, pairs: Sequence[Pair], differing: Mapping[str, float], cores: int) -> tuple[str, ...]:
    """Sentences; none where nothing differs. differing: figure -> ratio, theirs over ours, of those that differ; cores: of
    the machine, which generator and mesh share."""
    if not differing or not pairs:
        return ()
    theirs = pairs[0][1].tool
    share = cell.users / fmean(their.calls for _, their in pairs)
    said = [
        f"{count.sentence}{_once(cell, pairs) if count.share_min else ''}"
        for count in COUNTS
        if count.tool == theirs
        and any((differing[figure] - 1) * way > 0 for figure, way in count.moves.items() if figure in differing)
        and cell.journey in count.journeys
        and share >= count.share_min
    ]
    by_cpu, cpu_explains = _by_cpu(pairs, cores) if differing.keys() & {THROUGHPUT, "mean_us"} else ([], False)
    between, between_explains = _between(cell, pairs) if THROUGHPUT in differing else ([], False)
    rest = (
        ["nothing that was measured explains half of the difference"] if not (cpu_explains or between_explains) else []
    )
    return (*by_cpu, *between, *said, *rest)


def _by_cpu(pairs: Sequence[Pair], cores: int) -> tuple[list[str], bool]:
    """The generators' CPU: on cores that are all taken, a call waits for what generator and mesh need of them."""
    our, their = pairs[0][0].tool, pairs[0][1].tool
    more = interval([theirs.cpu_us_per_call - ours.cpu_us_per_call for ours, theirs in pairs])
    if not more.low > 0 and not more.high < 0:  # nan: too few repetitions
        return [], False
    said = (
        f"{their} takes {fmean(t.cpu_us_per_call for _, t in pairs):,.0f} µs of CPU a call, {our} "
        f"{fmean(o.cpu_us_per_call for o, _ in pairs):,.0f} µs"
    )
    busy = min(fmean(o.machine_busy for o, _ in pairs), fmean(t.machine_busy for _, t in pairs))
    if not busy >= FULL:
        return [
            f"{said}; not all of the {cores} cores were taken ({busy:.0%}), so that alone does not explain it"
        ], False
    # a core's time for each call that was answered: of the mesh and of the generator
    whole = fmean((1 / theirs.throughput - 1 / ours.throughput) * cores * 1e6 for ours, theirs in pairs)
    if more.mean * whole <= 0:
        return [f"{said}, which would move the figures the other way"], False
    part = more.mean / whole
    return [
        f"{said}; the {cores} cores, which the generator shares with the mesh, were all taken, so that is "
        f"{part:.0%} of the {abs(whole):,.0f} µs of core time by which a call differs"
    ], part >= EXPLAINS


def _between(cell: Cell, pairs: Sequence[Pair]) -> tuple[list[str], bool]:
    """What lies between an answer and the user's next call, by Little's law: no latency, but it takes from throughput."""
    gaps = [(ours.between_us(cell.users), theirs.between_us(cell.users)) for ours, theirs in pairs]
    more = interval([theirs - ours for ours, theirs in gaps])
    if not (more.low > 0 or more.high < 0):
        return [], False
    rounds = [(cell.users / ours.throughput * 1e6, cell.users / theirs.throughput * 1e6) for ours, theirs in pairs]
    whole = fmean(theirs - ours for ours, theirs in rounds)
    if abs(more.mean) < MATTERS * fmean(ours for ours, _ in rounds) or more.mean * whole <= 0:
        return [], False
    said = (
        f"between an answer and the same user's next call pass {fmean(t for _, t in gaps):,.0f} µs with "
        f"{pairs[0][1].tool}, {fmean(o for o, _ in gaps):,.0f} µs with {pairs[0][0].tool}, which is no latency but "
        "takes from throughput"
    )
    return [said], more.mean / whole >= EXPLAINS


def _once(cell: Cell, pairs: Sequence[Pair]) -> str:
    return f" (up to {cell.users:,} of {fmean(their.calls for _, their in pairs):,.0f})"
