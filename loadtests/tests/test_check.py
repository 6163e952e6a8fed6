"""The agreement is made of rounds in turn, and a tool that cannot take part says why instead of spoiling it."""

import math
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from loadtests.agreement import kept
from loadtests.agreement.kept import CellRounds
from loadtests.agreement.rounds import OURS, Plan, as_result, check
from loadtests.agreement.tools import TOOLS
from loadtests.agreement.tools.result import CannotRun, Load, ToolFailed, ToolResult
from loadtests.errors import UnreadableResults
from loadtests.model.cells import Cell
from loadtests.model.histogram import Histogram
from loadtests.model.measurements import Measurement, ProcessUse, RouteResult
from mesh.tests.meshes import Mesh

CELL = Cell("grpc", "a", 5)
HOSTS = {"grpc": "localhost:1", "rest": "localhost:2", "native": "localhost:1"}


def a_tool(
    name: str, ran: list[str], fails: Callable[[int], Exception | None] = lambda _: None
) -> Callable[..., ToolResult]:
    def run(*_: object) -> ToolResult:
        ran.append(name)
        if error := fails(ran.count(name)):
            raise error
        return ToolResult(
            name, "v1", 1_000, 2.0, 1_000.0, 10_000.0, 9_000.0, 20_000.0, 30_000.0, 40_000.0, {}, 0.1, 1.0
        )

    return run


def test_every_round_runs_each_tool_once_in_an_order_of_its_own() -> None:
    ran: list[str] = []
    tools = {name: a_tool(name, ran) for name in ("k6", "wrk")}
    (found,) = check(Plan(HOSTS, [CELL], rounds=6, tools=tools), a_tool(OURS, ran), cores=2)
    rounds = [tuple(ran[start : start + 3]) for start in range(0, 18, 3)]
    assert len(ran) == 18
    assert all(sorted(each) == ["k6", OURS, "wrk"] for each in rounds)
    assert len(set(rounds)) > 1
    assert [each.rounds for each in found.agreement.tools] == [6, 6]


def test_a_tool_that_cannot_run_a_cell_is_asked_once_and_its_reason_kept() -> None:
    ran: list[str] = []
    tools = {"wrk": a_tool("wrk", ran, lambda _: CannotRun("wrk", CELL, "it calls one route"))}
    (found,) = check(Plan(HOSTS, [CELL], rounds=4, tools=tools), a_tool(OURS, ran), cores=2)
    assert ran.count("wrk") == 1
    assert found.agreement.tools == ()
    assert found.absent == {"wrk": "wrk cannot run grpc: a, 5 users: it calls one route"}


def test_a_tool_that_fails_once_is_tried_again_and_compared_in_the_other_rounds() -> None:
    ran: list[str] = []
    tools = {"k6": a_tool("k6", ran, lambda time: ToolFailed("it fell over") if time == 2 else None)}
    (found,) = check(Plan(HOSTS, [CELL], rounds=4, tools=tools), a_tool(OURS, ran), cores=2)
    assert ran.count("k6") == 4
    assert found.agreement.tools[0].rounds == 3
    assert "round 2" in found.absent["k6"]


def test_a_measurement_of_ours_takes_the_same_form() -> None:
    histogram = Histogram()
    for latency in (1_000, 2_000, 3_000):
        histogram.record_us(latency)
    route = RouteResult(3, 6_000, histogram.encoded(), {"timeout": 1})
    uses = (ProcessUse("generator-1", "generator", 1.0, 0), ProcessUse("edge", "edge", 0.5, 0))
    measured = Measurement(CELL, 1, 0, 2.0, 1.0, {"/a/hello": route}, uses, foreign_cores=0.25)
    found = as_result(measured, "2.44", cores=2)
    assert (found.tool, found.version, found.calls, found.seconds) == (OURS, "2.44", 3, 2.0)
    assert found.mean_us == 2_000
    assert found.p50_us == pytest.approx(2_000, rel=1e-3)
    assert found.min_us == pytest.approx(1_000, rel=1e-3)
    assert found.max_us == pytest.approx(3_000, rel=1e-3)
    assert found.errors == {"timeout": 1}
    assert found.cpu_seconds == 1.0
    assert found.machine_busy == 0.5  # one and a half seconds of the mesh and ours, a quarter core of others, in 2 x 2


@pytest.mark.mesh
@pytest.mark.tool("k6")
@pytest.mark.tool("wrk")
def test_real_tools_on_a_real_mesh_are_compared(mesh: Mesh, tmp_path: Path) -> None:
    """wrk in our place: that one generator is held against another in one run, by the whole of the real thing."""
    hosts = {"grpc": f"localhost:{mesh.grpc}"}
    plan = Plan(
        hosts, [CELL], seconds=2.0, warmup_seconds=0.5, rounds=3, tools={"k6": TOOLS["k6"], "ghz": TOOLS["ghz"]}
    )

    def ours(cell: Cell, seconds: float) -> ToolResult:
        return TOOLS["wrk"](Load(cell, hosts["grpc"], seconds, warmup_seconds=0.5))

    (measured,) = check(plan, ours, cores=psutil.cpu_count() or 1)
    kept.append(measured, tmp_path)
    assert kept.read(tmp_path) == [measured], "what is kept is what was measured"
    found = measured.agreement
    (k6,) = found.tools
    assert k6.rounds == 3
    assert k6.errors == {}
    assert 0.2 < k6.ratios["mean_us"].mean < 5, "another unit would be a thousand times off"
    assert "native gRPC" in found.absent["ghz"]
    assert bool(k6.reasons) == ("differs" in k6.findings.values()), (
        "what differs has a reason, or it is said that none was found"
    )


def test_a_result_without_an_answered_call_is_kept_too(tmp_path: Path) -> None:
    """Its latencies are nan, which JSON has no word for."""
    nan = math.nan
    nothing = ToolResult("k6", "v1", 0, 5.0, nan, nan, nan, nan, nan, nan, {"HTTP 503": 9})
    kept.append(CellRounds(CELL, OURS, 2, ({"k6": nothing},), {"ghz": "why"}), tmp_path)
    (read,) = kept.read(tmp_path)
    assert math.isnan(read.rounds[0]["k6"].mean_us)
    assert (read.rounds[0]["k6"].errors, read.absent) == ({"HTTP 503": 9}, {"ghz": "why"})


def test_rounds_that_cannot_be_read_are_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / kept.FILE).write_text("{\n")
    with pytest.raises(UnreadableResults, match=r"rounds\.jsonl cannot be read"):
        kept.read(tmp_path)


def test_a_cell_that_a_crash_tore_is_left_out_and_the_next_one_is_kept_after_the_whole_ones(tmp_path: Path) -> None:
    one = CellRounds(CELL, OURS, 2, ())
    kept.append(one, tmp_path)
    with (tmp_path / kept.FILE).open("a") as file:
        file.write('{"cell": {"path"')
    assert kept.read(tmp_path) == [one]
    kept.append(one, tmp_path)
    assert kept.read(tmp_path) == [one, one]
