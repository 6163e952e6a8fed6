"""Where the calls of one route spent their time on one path: the hops of the traced calls, held against all calls. Pure.

Rules: the unit is the repetition, as in loadtests/findings/intervals.py: each run counts alike, and of a repetition that was
run again the last run that counts. A sum is held against a figure that owes nothing to traces: the mean of all calls of the
same runs. Where the two are more than APART_PERCENT_MAX apart, too few calls were traced, or being traced costs too much of
so short a call.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from loadtests.findings.intervals import Interval, interval
from loadtests.hops.split import HOPS, Parts
from loadtests.model.measurements import Hops, Measurement, RouteResult

SERIALIZATION: Final = "serialization"
PARTS: Final = (*HOPS[:2], SERIALIZATION, *HOPS[2:])
APART_PERCENT_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One route on one path. Microseconds."""

    path: str
    route: str
    traces: int
    runs: dict[int, Parts]  # repetition -> part -> mean of the traced calls
    wholes_us: dict[int, float]  # repetition -> mean of all calls

    @property
    def parts_us(self) -> Parts:
        return {part: fmean(parts[part] for parts in self.runs.values()) for part in PARTS}

    @property
    def sum_us(self) -> float:
        return sum(self.parts_us.values())

    @property
    def whole_us(self) -> float:
        return fmean(self.wholes_us.values())

    @property
    def apart_percent(self) -> float:
        """How far the sum is above the whole."""
        return 100 * (self.sum_us / self.whole_us - 1)

    @property
    def adds_up(self) -> bool:
        return abs(self.apart_percent) <= APART_PERCENT_MAX

    def __str__(self) -> str:
        said = (
            f"{self.path} {self.route}: the parts of {self.traces:,} traced calls sum to {self.sum_us:,.0f} µs, "
            f"all calls took {self.whole_us:,.0f} µs: {self.apart_percent:+.1f} %"
        )
        return (
            said if self.adds_up else f"{said}, which is more than {APART_PERCENT_MAX:g} %: do not rely on this split"
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One path beyond another, over the repetitions that both have. Microseconds."""

    parts: dict[str, Interval]  # their means sum to that of `sum`
    sum: Interval
    whole: Interval  # of the means of all calls


def breakdown(measurements: Iterable[Measurement], route: str) -> Breakdown | None:
    """Of runs of one cell, in order of time; serialization is still where it happens. None where no run counts."""
    path, found = "", {}
    for measurement in measurements:
        hops, result = hops_of_route(measurement, route), result_of_route(measurement, route)
        if hops and result:
            path = measurement.cell.path
            found[measurement.repetition] = hops, result
    if not found:
        return None
    runs = {n: {part: hops.parts_us.get(part, 0.0) for part in PARTS} for n, (hops, _) in found.items()}
    wholes = {n: mean_us(result) for n, (_, result) in found.items()}
    return Breakdown(path, route, sum(hops.traces for hops, _ in found.values()), runs, wholes)


def apart(
    found: Breakdown, serialization_us: Mapping[str, float], transcoding_us: Mapping[int, float] | None = None
) -> Breakdown:
    """`found` with serialization taken out of the hops that hold it.

    serialization_us: hop -> microseconds a call; transcoding_us: repetition -> microseconds a call, out of the edge.
    """
    runs = {}
    for repetition, parts in found.runs.items():
        moved = dict(serialization_us)
        if transcoding_us and repetition in transcoding_us:
            moved["edge"] = moved.get("edge", 0.0) + transcoding_us[repetition]
        runs[repetition] = _apart(parts, moved)
    return replace(found, runs=runs)


def difference(a: Breakdown, b: Breakdown) -> Difference:
    """b beyond a: intervals of pairs that lay side by side in time."""
    both = sorted(a.runs.keys() & b.runs.keys())
    return Difference(
        {part: interval([b.runs[n][part] - a.runs[n][part] for n in both]) for part in PARTS},
        interval([sum(b.runs[n].values()) - sum(a.runs[n].values()) for n in both]),
        interval([b.wholes_us[n] - a.wholes_us[n] for n in both]),
    )


def hops_of_route(measurement: Measurement, route: str) -> Hops | None:
    """None where the run does not count, or no call of the route was traced."""
    if measurement.voided:
        return None
    return next((hops for hops in measurement.hops if hops.route == route and _is_known(hops)), None)


def result_of_route(measurement: Measurement, route: str) -> RouteResult | None:
    """None where the run does not count, or answered no call of the route in a time that is known."""
    result = measurement.routes.get(route)
    return result if not measurement.voided and result and mean_us(result) > 0 else None


def mean_us(result: RouteResult) -> float:
    """nan where it is not known."""
    try:
        return result.total_us / result.calls
    except (ZeroDivisionError, OverflowError):  # of results that nobody measured: a sum beyond floats
        return math.nan


def _is_known(hops: Hops) -> bool:
    return hops.traces > 0 and all(math.isfinite(us) for us in hops.parts_us.values())


def _apart(parts: Parts, serialization_us: Mapping[str, float]) -> Parts:
    taken = {hop: min(us, parts[hop]) for hop, us in serialization_us.items()}  # no hop holds more than it lasted
    rest = {hop: parts[hop] - taken.get(hop, 0.0) for hop in HOPS}
    return {part: rest.get(part, parts[SERIALIZATION] + sum(taken.values())) for part in PARTS}
