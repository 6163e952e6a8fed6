"""What one run of one cell came to, and how it is kept: a line of JSON in `measurements.jsonl`, written whole or not at all.

Rules: times are seconds, latencies microseconds, memory bytes. A histogram is HDR, 1 µs to 10 minutes, three significant
digits (loadtests/model/histogram.py); means are exact. A call counts when it ends within the window.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from loadtests.errors import UnreadableResults
from loadtests.model import lines
from loadtests.model.cells import Cell
from loadtests.model.histogram import Histogram

FILE = "measurements.jsonl"
STEADY_ERRORS_MAX = 0.02  # errors a call


@dataclass(frozen=True, slots=True)
class RouteResult:
    """The calls of one route that ended within the window."""

    calls: int  # answered well
    total_us: int  # of their latencies: the exact mean is total_us / calls
    histogram: str  # of their latencies: Histogram.encoded()
    errors: dict[str, int] = field(default_factory=dict)  # cause -> calls: "timeout", "HTTP 503 …"
    bytes: int = 0  # of bodies received


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What one process used within the window."""

    name: str  # "edge", "sidecar-a-v1-1", "a-v1-1", "journal"
    kind: str  # "edge", "sidecar", "workload", "journal", "control-plane", "sink", "generator", "gateway"
    cpu_seconds: float
    pss_bytes: int  # at the end of the window


@dataclass(frozen=True, slots=True)
class TracedCall:
    """A call that the generator asked to be traced."""

    trace_id: str
    route: str
    begun_ns: int  # since the epoch
    latency_us: int  # as the client saw it


@dataclass(frozen=True, slots=True)
class Hops:
    """Where the traced calls of one route spent their time: means in microseconds, which sum to `whole_us`."""

    route: str
    traces: int
    whole_us: float  # as the client saw it
    parts_us: dict[str, float]  # hop -> mean


@dataclass(frozen=True, slots=True)
class Measurement:
    cell: Cell
    repetition: int  # from 1; the runs of one repetition lie side by side in time
    begun_at_us: int  # since the epoch
    seconds: float  # of the window
    warmup_seconds: float
    routes: dict[str, RouteResult]
    processes: tuple[ProcessUse, ...] = ()
    generator_busy: float = 0.0  # of one core, the busiest of the generator's processes: 1.0 is all of it
    foreign_cores: float = 0.0  # taken by processes that are neither the mesh nor the generator
    hops: tuple[Hops, ...] = ()
    voided: str = ""  # why this run does not count; empty: it counts

    @property
    def calls(self) -> int:
        return sum(route.calls for route in self.routes.values())

    @property
    def errors(self) -> int:
        return sum(sum(route.errors.values()) for route in self.routes.values())

    @property
    def throughput(self) -> float:
        """Answered calls a second; nan where the window never opened."""
        return self.calls / self.seconds if self.seconds > 0 else float("nan")

    @property
    def mean_us(self) -> float:
        """Of all calls; nan where none was answered."""
        return sum(route.total_us for route in self.routes.values()) / self.calls if self.calls else float("nan")

    @property
    def steadiness(self) -> float:
        """1 in a steady state, by Little's law: in a closed loop users = calls a second times seconds a call.

        Far below 1 only the fast calls have come back yet, and their mean would flatter. nan where the law says nothing:
        in an open loop, and where calls fail, whose users wait.
        """
        if self.cell.rate or self.errors > STEADY_ERRORS_MAX * self.calls:
            return float("nan")
        if not self.calls:
            return 0.0
        return self.throughput * self.mean_us / 1e6 / self.cell.users

    def percentile_us(self, percent: float) -> float:
        """Of all calls; nan where none was answered."""
        return merged(self.routes.values()).percentile_us(percent)

    def cpu_us_per_call(self, kind: str = "") -> float:
        """CPU time of the processes of one kind (of all but the generator's, where none is named) for each answered call."""
        used = sum(p.cpu_seconds for p in self.processes if (p.kind == kind if kind else p.kind != "generator"))
        return used / self.calls * 1e6 if self.calls else float("nan")


def merged(routes: Iterable[RouteResult]) -> Histogram:
    """One histogram of the latencies of all `routes`."""
    histogram = Histogram()
    for route in routes:
        histogram.add_encoded(route.histogram)
    return histogram


def append(measurement: Measurement, directory: Path) -> None:
    """Keep `measurement`; when this returns it survives the loss of power. Raises: OSError (nothing is left half-written)."""
    lines.append(msgspec.json.encode(measurement), directory / FILE)


def read(directory: Path) -> list[Measurement]:
    """What was measured, in order of time. A last line that was torn by a crash is left out.

    Raises: UnreadableResults, FileNotFoundError.
    """
    path = directory / FILE
    found = []
    for number, line in enumerate(lines.read(path), start=1):
        try:
            found.append(msgspec.convert(json.loads(line), Measurement, strict=False))
        except (ValueError, TypeError) as error:
            raise UnreadableResults(f"{path}, line {number} is no measurement: {error}") from None
    return found
