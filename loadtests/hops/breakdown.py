"""The whole account of where the time goes: the hops of the traced calls, and beside them what no trace can tell apart. Pure.

Serialization is no span. What the edge takes for transcoding is found by leaving it out: the edge hop of the JSON calls
beyond that of native gRPC calls under the same load. What services and clients take is measured in a process of its own
(loadtests/hops/serialization.py). Both are moved from the hop that holds them into a part of their own, so the sum stays.

Rules: the unit is the repetition, as in loadtests/findings/intervals.py: each run counts alike. A sum is held against a figure that
owes nothing to traces: the mean of all calls of the same runs. Where the two are more than APART_PERCENT_MAX apart, the
account says so: too few calls were traced, or being traced costs too much of so short a call (some 0.1 to 0.3 ms: with one
user, trace all calls; from 25 users on it is 3 % at 3 % sampled).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from loadtests.findings.intervals import Interval, interval
from loadtests.hops.split import HOPS, Parts
from loadtests.model.measurements import Hops, Measurement, RouteResult

SERIALIZATION: Final = "serialization"
PARTS: Final = (*HOPS[:2], SERIALIZATION, *HOPS[2:])
ENVOYS: Final = ("edge", SERIALIZATION, "edge to sidecar", "sidecar")  # what a call to the service itself has not
APART_PERCENT_MAX: Final = 5.0
LEFT_OUT: Final = {"native": "direct-grpc", "rest": "direct-rest"}  # path -> the same one without Envoys


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where the calls of one route spent their time on one path. Microseconds."""

    arm: str
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
            f"{self.arm} {self.route}: the parts of {self.traces:,} traced calls sum to {self.sum_us:,.0f} µs, "
            f"all calls took {self.whole_us:,.0f} µs: {self.apart_percent:+.1f} %"
        )
        return (
            said if self.adds_up else f"{said}, which is more than {APART_PERCENT_MAX:g} %: do not rely on this split"
        )


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """What both Envoys and the wire between them cost a call, found in two ways. Microseconds."""

    path: str
    traced_us: float  # the hops between the client and the service's socket
    left_out_us: float  # a call through Envoy beyond one straight to the service


@dataclass(frozen=True, slots=True)
class Account:
    """One route under one load, on every path that was measured with traces."""

    route: str
    paths: dict[str, Breakdown]
    transcoding_us: float | None  # of the edge; None: native gRPC was not measured, and the edge's hop holds it
    checks: tuple[CrossCheck, ...]


def breakdown(measurements: Iterable[Measurement], route: str) -> Breakdown | None:
    """Of runs of one cell, in any order; serialization is still where it happens. None where no run counts."""
    runs: dict[int, Parts] = {}
    wholes: dict[int, float] = {}
    arm, traces = "", 0
    for measurement in measurements:
        hops, result = _of_route(measurement, route)
        if hops and result:
            arm, traces = measurement.cell.arm, traces + hops.traces
            runs[measurement.repetition] = {part: hops.parts_us.get(part, 0.0) for part in PARTS}
            wholes[measurement.repetition] = result.total_us / result.calls
    return Breakdown(arm, route, traces, runs, wholes) if runs else None


def apart(found: Breakdown, serialization_us: Mapping[str, float]) -> Breakdown:
    """`found` with serialization taken out of the hops that hold it. serialization_us: hop -> microseconds a call."""
    return replace(
        found, runs={repetition: _apart(parts, serialization_us) for repetition, parts in found.runs.items()}
    )


def difference(a: Breakdown, b: Breakdown) -> dict[str, Interval]:
    """b beyond a, part by part: intervals of pairs that lay side by side in time. The means sum to that of the sums."""
    both = [(a.runs[repetition], b.runs[repetition]) for repetition in sorted(a.runs.keys() & b.runs.keys())]
    return {part: interval([of_b[part] - of_a[part] for of_a, of_b in both]) for part in PARTS}


def account(
    measurements: Iterable[Measurement], route: str, serialization_us: Mapping[str, Mapping[str, float]]
) -> Account:
    """Of all runs of one question. serialization_us: path -> hop -> microseconds a call (serialization.costs_us)."""
    by_path: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        if not measurement.cell.variant:
            by_path.setdefault(measurement.cell.path, []).append(measurement)
    raw = {path: found for path, runs in by_path.items() if (found := breakdown(runs, route))}
    transcoding_us = None
    if "grpc" in raw and "native" in raw:  # noise may make it negative
        transcoding_us = max(0.0, raw["grpc"].parts_us["edge"] - raw["native"].parts_us["edge"])
    paths = {}
    for path, found in raw.items():
        moved = dict(serialization_us.get(path, {}))
        if path == "grpc" and transcoding_us:
            moved["edge"] = moved.get("edge", 0.0) + transcoding_us
        paths[path] = apart(found, moved)
    return Account(route, paths, transcoding_us, tuple(_checks(raw, by_path, route)))


def _apart(parts: Parts, serialization_us: Mapping[str, float]) -> Parts:
    taken = {hop: min(us, parts[hop]) for hop, us in serialization_us.items()}  # no hop holds more than it lasted
    rest = {hop: parts[hop] - taken.get(hop, 0.0) for hop in HOPS}
    return {part: rest.get(part, parts[SERIALIZATION] + sum(taken.values())) for part in PARTS}


def _of_route(measurement: Measurement, route: str) -> tuple[Hops | None, RouteResult | None]:
    """Both None where the run does not count, or answered no call of the route."""
    result = measurement.routes.get(route)
    if measurement.voided or result is None or not result.calls:
        return None, None
    return next((hops for hops in measurement.hops if hops.route == route), None), result


def _checks(raw: Mapping[str, Breakdown], by_path: Mapping[str, list[Measurement]], route: str) -> Iterable[CrossCheck]:
    for path, straight in LEFT_OUT.items():
        results = [result for m in by_path.get(straight, ()) if (result := _of_route(m, route)[1])]
        if path in raw and results:
            without_us = fmean(result.total_us / result.calls for result in results)
            traced_us = sum(raw[path].parts_us[part] for part in ENVOYS)
            yield CrossCheck(path, traced_us, raw[path].whole_us - without_us)
