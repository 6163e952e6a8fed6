"""The whole account of where the time goes: one route under one load, on every path, and what no trace can tell apart. Pure.

Serialization is no span. What the edge takes for transcoding is found by leaving it out: the edge hop of the JSON calls
beyond that of native gRPC calls under the same load. What services and clients take is measured in a process of its own
(loadtests/hops/serialization.py). Both are moved from the hop that holds them into a part of their own, so the sum stays.

Rule: variants of the mesh, and the control, are other questions, and not in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from loadtests.findings.breakdown import (
    SERIALIZATION,
    Breakdown,
    Difference,
    apart,
    breakdown,
    difference,
    mean_us,
    result_of_route,
)
from loadtests.findings.summaries import reading_order
from loadtests.model.cells import Cell
from loadtests.model.measurements import Measurement
from loadtests.model.runs import Run

ENVOYS: Final = ("edge", SERIALIZATION, "edge to sidecar", "sidecar")  # what a call to the service itself has not
LEFT_OUT: Final = {"native": "direct-grpc", "rest": "direct-rest"}  # path -> the same one without Envoys
ROUTES_MAX: Final = 16  # of one question


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """What both Envoys and the wire between them cost a call, found in two ways. Microseconds."""

    path: str
    traced_us: float  # the hops between the client and the service's socket
    left_out_us: float  # a call through Envoy beyond one straight to the service


@dataclass(frozen=True, slots=True)
class Account:
    """One route under one load, on every path that was measured with traces."""

    question: Cell
    route: str
    paths: dict[str, Breakdown]
    transcoding_us: float | None  # of the edge; None: native gRPC was not measured, and the edge's hop holds it
    checks: tuple[CrossCheck, ...]

    @property
    def difference(self) -> Difference | None:
        """gRPC beyond REST; None where one of them is not known."""
        grpc, rest = self.paths.get("grpc"), self.paths.get("rest")
        return difference(rest, grpc) if grpc and rest else None


def accounts(run: Run, measurements: Iterable[Measurement]) -> tuple[Account, ...]:
    """One for each question and route with traced calls, in reading order."""
    questions: dict[Cell, list[Measurement]] = {}
    for measurement in measurements:
        if not measurement.cell.variant:
            questions.setdefault(measurement.cell.question, []).append(measurement)
    found = []
    for question in sorted(questions, key=reading_order):
        several = questions[question]
        for route in list(dict.fromkeys(hops.route for m in several for hops in m.hops))[:ROUTES_MAX]:
            one = account(several, route, run.serialization_us(question, route))
            found += [one] if one else []
    return tuple(found)


def account(
    measurements: Sequence[Measurement], route: str, serialization_us: Mapping[str, Mapping[str, float]]
) -> Account | None:
    """Of all runs of one question, in order of time. serialization_us: path -> hop -> microseconds a call."""
    by_path: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        by_path.setdefault(measurement.cell.path, []).append(measurement)
    raw = {path: found for path, runs in by_path.items() if (found := breakdown(runs, route))}
    if not raw:
        return None
    transcoding = _transcoding_us(raw["grpc"], raw["native"]) if {"grpc", "native"} <= raw.keys() else None
    paths = {
        path: apart(found, serialization_us.get(path, {}), transcoding if path == "grpc" else None)
        for path, found in raw.items()
    }
    mean = None if transcoding is None else fmean(transcoding.values())
    checks = tuple(_checks(raw, by_path, route))
    return Account(measurements[0].cell.question, route, paths, mean, checks)


def _transcoding_us(grpc: Breakdown, native: Breakdown) -> dict[int, float]:
    """Repetition -> what the edge takes beyond native calls; all zero where noise makes the mean negative."""
    pairs = {n: grpc.runs[n]["edge"] - native.runs[n]["edge"] for n in grpc.runs.keys() & native.runs.keys()}
    mean = fmean(pairs.values()) if pairs else grpc.parts_us["edge"] - native.parts_us["edge"]
    return {n: pairs.get(n, mean) if mean > 0 else 0.0 for n in grpc.runs}


def _checks(raw: Mapping[str, Breakdown], by_path: Mapping[str, list[Measurement]], route: str) -> Iterable[CrossCheck]:
    for path, straight in LEFT_OUT.items():
        results = [result for m in by_path.get(straight, ()) if (result := result_of_route(m, route))]
        if path in raw and results:
            traced_us = sum(raw[path].parts_us[part] for part in ENVOYS)
            yield CrossCheck(path, traced_us, raw[path].whole_us - fmean(map(mean_us, results)))
