"""Windows: long enough for how slowly calls are answered, or void."""

import math
from pathlib import Path
from typing import Any

import pytest

from loadtests.model import measurements
from loadtests.model.cells import Cell
from loadtests.model.histogram import Histogram
from loadtests.model.plan import Plan
from loadtests.running.comparison import Comparison, Step, Target, is_unsteady
from loadtests.tests.made import made


class Server:
    """Stands for a generator whose users are answered after `latency` seconds each, from when they were started."""

    def __init__(self, latency: float, users: int) -> None:
        self.latency, self.users, self.now, self.begun = latency, users, 0.0, 0.0
        self.pids: list[int] = []

    def start(self, cell: Cell, host: str, *, sampled_percent: float) -> None:
        self.now = 0.0

    def stop(self) -> None: ...

    def begin(self) -> None:
        self.begun = self.now

    def end(self) -> list[dict[str, Any]]:
        """One server answers one user after the other: user n waits n/users of the latency at first, all of it later."""
        step, histogram, calls, total_us = self.latency / self.users, Histogram(), 0, 0
        for number in range(round(self.begun / step) + 1, round(self.now / step) + 1):
            latency_us = round(min(number * step, self.latency) * 1e6)
            histogram.record_us(latency_us)
            calls, total_us = calls + 1, total_us + latency_us
        route = {"calls": calls, "total_us": total_us, "histogram": histogram.encoded(), "errors": {}, "bytes": 0}
        seconds = self.now - self.begun
        return [{"seconds": seconds, "cpu_seconds": 0.0, "pid": 1, "routes": {"/a/hello": route}, "traced": []}]


def measured(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> measurements.Measurement:
    def sleep(seconds: float) -> None:
        server.now += seconds

    monkeypatch.setattr("loadtests.running.comparison.time.sleep", sleep)
    cell = Cell("grpc", "a", server.users)
    plan = Plan("some", (cell,), 1, window_seconds=2.0, warmup_seconds=1.0)
    told: list[Step] = []
    target = Target("http://nowhere", list)
    Comparison(plan, 1, tmp_path, server, lambda _: target, lambda _, __: (), told.append).measure()  # type: ignore[arg-type]
    (found,) = measurements.read(tmp_path)
    return found


@pytest.mark.parametrize("latency", [0.01, 0.5, 2.0, 8.0, 20.0])
def test_a_mean_is_that_of_a_steady_state_however_slowly_calls_are_answered(
    latency: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the calls that come back first the fast ones are too many: at 20 s a call, a window of 2 s would tell of 3 s."""
    found = measured(Server(latency, users=100), tmp_path, monkeypatch)
    assert not found.voided
    assert found.mean_us / 1e6 == pytest.approx(latency, rel=0.2)


def test_what_is_never_steady_is_void(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(Server(10_000.0, users=100), tmp_path, monkeypatch)
    assert found.voided.startswith("never steady")


def test_littles_law_says_nothing_of_open_loops_and_of_calls_that_fail() -> None:
    closed = made(Cell("grpc", "a", 25))
    assert math.isfinite(closed.steadiness)
    assert math.isnan(made(Cell("grpc", "a", 25, rate=100.0)).steadiness)
    assert not is_unsteady(made(Cell("grpc", "a", 25, rate=100.0)))


def test_a_generator_at_its_limit_voids_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(Server):
        def end(self) -> list[dict[str, Any]]:
            return [{**one, "cpu_seconds": 0.97 * one["seconds"]} for one in super().end()]

    found = measured(Busy(0.01, users=100), tmp_path, monkeypatch)
    assert found.voided == "the load generator was the bottleneck: a process of it took 97% of a core"
