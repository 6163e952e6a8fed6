"""Raw results for other people's tools: raw.parquet, one row a route of a measurement, nothing left out or rounded.

Rules: a measurement without routes is one row without a route; latencies are microseconds; what differs between processes
is a map by kind of process; voided runs are there, with the reason.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loadtests.model.cells import plain
from loadtests.model.histogram import Histogram
from loadtests.model.measurements import Measurement, ProcessUse, RouteResult
from loadtests.model.runs import Run

PERCENTILES = {"p50_us": 50.0, "p90_us": 90.0, "p99_us": 99.0, "p999_us": 99.9}

_TEXT, _COUNT, _REAL = pa.string(), pa.int64(), pa.float64()
SCHEMA = pa.schema(
    [
        *((name, _TEXT) for name in ("run", "git_revision", "arm", "path", "journey")),
        *(("users", _COUNT), ("rate", _REAL), ("count", _COUNT), ("delay_ms", _COUNT), ("payload_bytes", _COUNT)),
        *(("reuse", pa.bool_()), ("http", _TEXT), ("variant", _TEXT), ("repetition", _COUNT)),
        *(("begun_at", pa.timestamp("us", tz="UTC")), ("seconds", _REAL), ("warmup_seconds", _REAL), ("voided", _TEXT)),
        *(("route", _TEXT), ("calls", _COUNT), ("failed", _COUNT), ("errors", pa.map_(_TEXT, _COUNT))),
        *(("body_bytes", _COUNT), ("total_us", _COUNT), ("mean_us", _REAL)),
        *((name, _REAL) for name in (*PERCENTILES, "max_us")),
        *(("histogram", _TEXT), ("generator_busy", _REAL), ("foreign_cores", _REAL)),
        *(("cpu_seconds", pa.map_(_TEXT, _REAL)), ("pss_bytes", pa.map_(_TEXT, _COUNT))),
        *(("traced", _COUNT), ("hops_us", pa.map_(_TEXT, _REAL))),
    ]
)


def write_raw(run: Run, measurements: Iterable[Measurement], path: Path) -> None:
    """Raises: OSError, ValueError (a histogram that is none)."""
    rows = [row for measurement in measurements for row in _rows(run, measurement)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, compression="zstd")


def _rows(run: Run, measurement: Measurement) -> Iterator[dict[str, Any]]:
    shared = {
        **plain(measurement.cell),
        "run": run.id,
        "git_revision": run.git_revision,
        "arm": measurement.cell.arm,
        "repetition": measurement.repetition,
        "begun_at": measurement.begun_at_us,
        "seconds": measurement.seconds,
        "warmup_seconds": measurement.warmup_seconds,
        "voided": measurement.voided,
        "generator_busy": measurement.generator_busy,
        "foreign_cores": measurement.foreign_cores,
        "cpu_seconds": _by_kind(measurement.processes, "cpu_seconds"),
        "pss_bytes": _by_kind(measurement.processes, "pss_bytes"),
    }
    traced = {hops.route: {"traced": hops.traces, "hops_us": list(hops.parts_us.items())} for hops in measurement.hops}
    for route, result in measurement.routes.items():
        yield _storable({**shared, "route": route, **_result(result), **traced.get(route, {})})
    if not measurement.routes:
        yield _storable(shared)


def _result(result: RouteResult) -> dict[str, Any]:
    latencies = Histogram()
    latencies.add_encoded(result.histogram)
    return {
        "calls": result.calls,
        "failed": sum(result.errors.values()),
        "errors": list(result.errors.items()),
        "body_bytes": result.bytes,
        "total_us": result.total_us,
        "mean_us": result.total_us / result.calls if result.calls else math.nan,
        **dict(zip(PERCENTILES, latencies.percentiles_us(list(PERCENTILES.values())), strict=True)),
        "max_us": latencies.max_us,
        "histogram": result.histogram,
    }


def _by_kind(processes: Iterable[ProcessUse], figure: str) -> list[tuple[str, Any]]:
    sums: dict[str, Any] = {}
    for process in processes:
        sums[process.kind] = sums.get(process.kind, 0) + getattr(process, figure)
    return list(sums.items())


def _storable(row: dict[str, Any]) -> dict[str, Any]:
    """Parquet keeps UTF-8: half a surrogate pair, which JSON may hold, is replaced."""
    return {name: _utf8(value) for name, value in row.items()}


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [(_utf8(key), item) for key, item in value]
    return value
