"""What was measured survives what happens to programs and disks."""

import math
import resource
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.errors import UnreadableResults
from loadtests.model import measurements
from loadtests.model.cells import Cell
from loadtests.model.histogram import Histogram
from loadtests.model.measurements import Measurement, ProcessUse, RouteResult


def of(*latencies_us: int) -> RouteResult:
    histogram = Histogram()
    for latency_us in latencies_us:
        histogram.record_us(latency_us)
    return RouteResult(len(latencies_us), sum(latencies_us), histogram.encoded())


SOME = Measurement(
    cell=Cell("grpc", "report", 25),
    repetition=1,
    begun_at_us=1_700_000_000_000_000,
    seconds=2.0,
    warmup_seconds=1.0,
    routes={"/a/hello": of(800, 900, 1_000), "/b/numbers": of(55_000)},
    processes=(ProcessUse("edge", "edge", 0.002, 1), ProcessUse("generator-0", "generator", 1.0, 1)),
)


def test_what_is_kept_is_what_is_read(tmp_path: Path) -> None:
    measurements.append(SOME, tmp_path)
    measurements.append(replace(SOME, repetition=2, voided="why not"), tmp_path)
    assert measurements.read(tmp_path) == [SOME, replace(SOME, repetition=2, voided="why not")]


def test_a_torn_last_line_is_left_out_and_overwritten(tmp_path: Path) -> None:
    measurements.append(SOME, tmp_path)
    whole = (tmp_path / measurements.FILE).read_bytes()
    (tmp_path / measurements.FILE).write_bytes(whole + whole[:100])
    assert measurements.read(tmp_path) == [SOME]
    measurements.append(replace(SOME, repetition=2), tmp_path)
    assert [one.repetition for one in measurements.read(tmp_path)] == [1, 2]


def test_a_disk_without_room_leaves_no_half_of_a_line(tmp_path: Path) -> None:
    measurements.append(SOME, tmp_path)
    size = (tmp_path / measurements.FILE).stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, before[1]))
    try:
        with pytest.raises(OSError, match=r"."):
            measurements.append(replace(SOME, repetition=2), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / measurements.FILE).stat().st_size == size
    assert measurements.read(tmp_path) == [SOME]


@pytest.mark.parametrize("line", [b"{}", b"[]", b"nonsense", b'{"cell": 1}', b"\xff\xfe"])
def test_a_line_that_is_no_measurement_is_said_with_its_place(tmp_path: Path, line: bytes) -> None:
    measurements.append(SOME, tmp_path)
    with (tmp_path / measurements.FILE).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(UnreadableResults, match="line 2 is no measurement"):
        measurements.read(tmp_path)


def test_a_measurements_figures_are_of_all_its_routes() -> None:
    assert SOME.calls == 4
    assert SOME.throughput == 2.0
    assert SOME.mean_us == pytest.approx((800 + 900 + 1_000 + 55_000) / 4)
    assert SOME.percentile_us(50) == pytest.approx(900, rel=0.001)
    assert SOME.cpu_us_per_call() == pytest.approx(500)  # the generator's own does not count
    assert SOME.cpu_us_per_call("edge") == pytest.approx(500)


def test_a_cell_without_an_answer_has_no_latency() -> None:
    empty = replace(SOME, routes={"/a/hello": RouteResult(0, 0, "", {"connection refused": 7})})
    assert math.isnan(empty.mean_us)
    assert math.isnan(empty.percentile_us(99))
    assert empty.errors == 7
    assert empty.throughput == 0


@given(st.lists(st.integers(1, 600_000_000), min_size=1, max_size=200), st.sampled_from([0.0, 50.0, 99.0, 100.0]))
def test_percentiles_are_right_to_a_thousandth(latencies_us: list[int], percent: float) -> None:
    histogram = Histogram()
    for latency_us in latencies_us:
        histogram.record_us(latency_us)
    rank = max(1, math.floor(percent / 100 * len(latencies_us) + 0.5))
    assert histogram.percentile_us(percent) == pytest.approx(sorted(latencies_us)[rank - 1], rel=0.0011, abs=1)


@given(st.lists(st.lists(st.integers(1, 10_000_000), max_size=50), max_size=5))
def test_histograms_of_many_processes_are_one(parts: list[list[int]]) -> None:
    whole, together = Histogram(), Histogram()
    for part in parts:
        one = Histogram()
        for latency_us in part:
            one.record_us(latency_us)
            whole.record_us(latency_us)
        together.add_encoded(one.encoded())
    assert together.count == whole.count
    for percent in (1, 50, 99, 100):
        assert repr(together.percentile_us(percent)) == repr(whole.percentile_us(percent))


def test_a_histogram_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="no HDR histogram"):
        Histogram().add_encoded("nonsense")
