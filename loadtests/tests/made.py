"""Measurements that nobody measured, plausible or odd, for tests of what is made of them. Seeded: the same at every call."""

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from loadtests.hops import split
from loadtests.model import measurements, runs
from loadtests.model.cells import RAMP, Cell
from loadtests.model.histogram import Histogram
from loadtests.model.measurements import Hops, Measurement, ProcessUse, RouteResult
from loadtests.model.runs import Run

ROUTES: Final = {"report": ("/a/hello", "/b/numbers"), "a": ("/a/hello",), "b": ("/b/numbers",), "echo": ("/echo",)}
# path -> (latency without load in ms, calls/s at most, CPU of a call in µs: edge, sidecar, workload)
PATHS: Final = {
    "grpc": (2.0, 2_400.0, (80, 60, 120)),
    "rest": (1.1, 4_300.0, (60, 50, 31)),
    "native": (1.7, 2_900.0, (60, 60, 118)),
    "direct-grpc": (0.9, 5_200.0, (0, 0, 115)),
    "direct-rest": (0.5, 9_000.0, (0, 0, 30)),
    "reference-grpc": (6.0, 420.0, (0, 0, 900)),
    "reference-rest": (28_000.0, 300.0, (0, 0, 700)),
}
HOPS: Final = {  # path -> shares of a call
    "grpc": dict(zip(split.HOPS, (0.2, 0.2, 0.1, 0.1, 0.3, 0.1), strict=True)),
    "rest": dict(zip(split.HOPS, (0.3, 0.2, 0.2, 0.1, 0.1, 0.1), strict=True)),
    "native": dict(zip(split.HOPS, (0.2, 0.1, 0.2, 0.1, 0.3, 0.1), strict=True)),
}


def made(
    cell: Cell, repetition: int = 1, *, slower: float = 1.0, noise: float = 0.02, seconds: float = 10.0
) -> Measurement:
    """One run of `cell`, `slower` times as slow as is usual on its path, give or take `noise`."""
    chance = random.Random(f"{cell.id};{repetition}")
    base_ms, most, cpu = PATHS.get(cell.path, (3.0, 1_000.0, (50, 50, 50)))
    base_ms *= slower * (1 + cell.payload_bytes / 50_000) * chance.gauss(1, noise)
    routes = ROUTES.get(cell.journey, ("/",))
    if "/b/numbers" in routes:
        base_ms += cell.count * cell.delay_ms / len(routes)
    mean_ms = base_ms if cell.rate else max(base_ms, cell.users / most * 1e3 * slower * chance.gauss(1, noise))
    calls = int((cell.rate or cell.users / mean_ms * 1e3) * seconds) // len(routes)
    kinds = (("edge", 80e6), ("sidecar", 70e6), ("workload", 60e6))
    processes = [
        ProcessUse(f"{kind}-1", kind, us * slower * calls * len(routes) / 1e6, int(pss + 2e4 * cell.users))
        for (kind, pss), us in zip(kinds, cpu, strict=True)
        if us
    ]
    answered = {route: _route(chance, calls, mean_ms) for route in routes}
    hops = [
        _hops(route, result, HOPS[cell.path], off=chance.gauss(1.01, 0.01))
        for route, result in answered.items()
        if cell.path in HOPS and cell.users == 25 and result.calls
    ]
    return Measurement(
        cell,
        repetition,
        1_790_000_000_000_000 + repetition * 60_000_000,
        seconds,
        3.0,
        answered,
        (*processes, ProcessUse("generator-1", "generator", 4.0, 90_000_000)),
        generator_busy=0.4,
        hops=tuple(hops),
    )


def repeated(cells: Iterable[Cell], repetitions: int = 10, **how: float) -> list[Measurement]:
    return [made(cell, repetition, **how) for repetition in range(1, repetitions + 1) for cell in cells]


def with_errors(measurement: Measurement, errors: dict[str, int]) -> Measurement:
    route, result = next(iter(measurement.routes.items()))
    return replace(measurement, routes={**measurement.routes, route: replace(result, errors=errors)})


def without_answers(measurement: Measurement) -> Measurement:
    nothing = RouteResult(0, 0, "", {"timeout": 12})
    return replace(measurement, routes=dict.fromkeys(measurement.routes, nothing))


def run_of(measured: Iterable[Measurement], **fields: object) -> Run:
    cells = tuple(dict.fromkeys(m.cell for m in measured))
    run = Run(
        "2026-11-26T17-05-02-quick",
        "quick",
        1_790_000_000_000_000,
        "default",
        7,
        10,
        cells,
        git_revision="0123abc",
        machine={"processor": "Example CPU", "cores": "2", "memory": "8 GB", "kernel": "6.1"},
        versions={"meshlog": "0.1.0", "envoy": "1.40", "python": "3.11", "grpcio": "1.85", "sanic": "25.3"},
        settings={"sampling": "1 %", "generator processes": "2", "window": "10 s", "warm-up": "3 s"},
    )
    return replace(run, **fields)  # type: ignore[arg-type]


def kept(directory: Path, measured: list[Measurement], **fields: object) -> Path:
    """`measured` as a results directory."""
    directory.mkdir(parents=True, exist_ok=True)
    runs.write(run_of(measured, **fields), directory)
    for measurement in measured:
        measurements.append(measurement, directory)
    return directory


def everything() -> list[Cell]:
    """Cells of every kind that a full run has."""
    two = ("grpc", "rest")
    cells = [Cell(path, "report", users) for users in RAMP for path in two]
    cells += [Cell(path, journey, users) for journey in ("a", "b") for users in (25, 200) for path in PATHS]
    cells += [Cell(path, "a", 25, variant="again") for path in two]
    cells += [Cell("grpc", "a", 25, variant=variant) for variant in ("journal-off", "tracing-off")]
    cells += [Cell(path, "a", 50, rate=rate) for rate in (250.0, 500.0, 1_000.0) for path in two]
    cells += [Cell(path, "echo", 25, payload_bytes=size) for size in (10, 1_000, 100_000, 1_000_000) for path in two]
    cells += [Cell(path, "b", 25, count=count, delay_ms=0) for count in (1, 100, 1_000) for path in two]
    cells += [replace(Cell(path, "a", 25), reuse=False) for path in two]
    cells += [replace(Cell(path, "a", 25), http="2") for path in two]
    return cells


def _hops(route: str, result: RouteResult, shares: dict[str, float], off: float) -> Hops:
    """Of traced calls that took `off` times as long as the others."""
    whole_us = result.total_us / result.calls * off
    return Hops(route, 40, whole_us, {hop: share * whole_us for hop, share in shares.items()})


def _route(chance: random.Random, calls: int, mean_ms: float) -> RouteResult:
    """Latencies of a skewed distribution with about this mean; a thousand stand for all."""
    histogram = Histogram()
    spread = 0.35
    total_us = 0
    sample = min(calls, 1_000)
    for _ in range(sample):
        latency_us = round(mean_ms * 1e3 * chance.lognormvariate(-spread * spread / 2, spread))
        histogram.record_us(latency_us)
        total_us += latency_us
    exact_us = round(total_us / sample * calls) if sample else 0
    return RouteResult(calls, exact_us, histogram.encoded(), bytes=calls * 40)
