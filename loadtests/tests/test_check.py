"""The agreement is made of rounds in turn, and a tool that cannot take part says why instead of spoiling it."""

from collections.abc import Callable

import psutil
import pytest

from loadtests.agreement.rounds import OURS, Plan, as_result, check
from loadtests.agreement.text import markdown
from loadtests.agreement.tools import TOOLS
from loadtests.agreement.tools.result import CannotRun, Load, ToolFailed, ToolResult
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
    assert [each.rounds for each in found.tools] == [6, 6]


def test_a_tool_that_cannot_run_a_cell_is_asked_once_and_its_reason_kept() -> None:
    ran: list[str] = []
    tools = {"wrk": a_tool("wrk", ran, lambda _: CannotRun("wrk", CELL, "it calls one route"))}
    (found,) = check(Plan(HOSTS, [CELL], rounds=4, tools=tools), a_tool(OURS, ran), cores=2)
    assert ran.count("wrk") == 1
    assert found.tools == ()
    assert found.absent == {"wrk": "wrk cannot run grpc: a, 5 users: it calls one route"}


def test_a_tool_that_fails_once_is_tried_again_and_compared_in_the_other_rounds() -> None:
    ran: list[str] = []
    tools = {"k6": a_tool("k6", ran, lambda time: ToolFailed("it fell over") if time == 2 else None)}
    (found,) = check(Plan(HOSTS, [CELL], rounds=4, tools=tools), a_tool(OURS, ran), cores=2)
    assert ran.count("k6") == 4
    assert found.tools[0].rounds == 3
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
def test_real_tools_on_a_real_mesh_come_to_a_table(mesh: Mesh) -> None:
    """wrk in our place: that one generator is held against another in one run, by the whole of the real thing."""
    hosts = {"grpc": f"localhost:{mesh.grpc}"}
    plan = Plan(
        hosts, [CELL], seconds=2.0, warmup_seconds=1.0, rounds=3, tools={"k6": TOOLS["k6"], "ghz": TOOLS["ghz"]}
    )

    def ours(cell: Cell, seconds: float) -> ToolResult:
        return TOOLS["wrk"](Load(cell, hosts["grpc"], seconds, warmup_seconds=1.0))

    (found,) = check(plan, ours, cores=psutil.cpu_count() or 1)
    text = markdown([found])
    print(text)
    (k6,) = found.tools
    assert k6.rounds == 3
    assert k6.errors == {}
    assert 0.2 < k6.ratios["mean_us"].mean < 5, "another unit would be a thousand times off"
    assert "native gRPC" in found.absent["ghz"]
    assert "| locust |" in text
