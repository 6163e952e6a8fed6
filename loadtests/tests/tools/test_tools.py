"""Each tool runs a short cell of the real mesh, and its figures hold together."""

import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from loadtests.agreement.tools import TOOLS, ghz, k6, wrk
from loadtests.agreement.tools.program import UNSAMPLED
from loadtests.agreement.tools.result import CannotRun, Load, NotInstalled, ToolFailed, ToolResult
from loadtests.model.cells import Cell
from mesh.tests.meshes import Mesh, until

USERS = 5
SECONDS = 2.0

RUNS = [
    *[(k6, path, journey) for path in ("grpc", "rest") for journey in ("report", "a", "b")],
    *[(wrk, path, journey) for path in ("grpc", "rest") for journey in ("a", "b")],
    *[(ghz, "native", journey) for journey in ("a", "b")],
]
CALLED = [
    pytest.param(module.run, path, journey, id=f"{module.NAME}-{path}-{journey}", marks=pytest.mark.tool(module.NAME))
    for module, path, journey in RUNS
]
EACH = pytest.mark.parametrize(
    "run", [pytest.param(tool.run, marks=pytest.mark.tool(tool.NAME), id=tool.NAME) for tool in (k6, ghz, wrk)]
)


def path_for(run: Callable[[Load], ToolResult]) -> str:
    return "native" if run is ghz.run else "grpc"


@pytest.mark.mesh
@pytest.mark.parametrize(("run", "path", "journey"), CALLED)
def test_its_figures_hold_together(mesh: Mesh, run: Callable[[Load], ToolResult], path: str, journey: str) -> None:
    """Units are what we take them for: else Little's law (users = throughput x time of a call) would be far off."""
    port = mesh.rest if path == "rest" else mesh.grpc
    found = run(Load(Cell(path, journey, USERS, count=4), f"localhost:{port}", SECONDS, warmup_seconds=1.0))
    print(found)
    assert found.errors == {}
    assert found.calls > USERS
    assert 0.9 * SECONDS < found.seconds < SECONDS + 10  # a last call's timeout: k6 waits for it
    assert found.min_us <= found.p50_us <= found.p95_us <= found.p99_us <= found.max_us
    assert found.min_us < found.mean_us < found.max_us
    if journey == "b":
        assert found.min_us > 4 * 5_000  # four pauses of 5 ms
    assert USERS / 1.5 < found.throughput * found.mean_us / 1e6 < USERS * 1.5
    assert 0 < found.cpu_seconds < 60
    assert 0 < found.machine_busy <= 1


@pytest.mark.mesh
@EACH
def test_none_of_its_calls_is_traced_though_the_mesh_samples_all(mesh: Mesh, run: Callable[[Load], ToolResult]) -> None:
    trace_id = f"{random.getrandbits(128):032x}"
    assert run(Load(Cell(path_for(run), "a", USERS), f"localhost:{mesh.grpc}", 1.0)).calls
    traced = mesh.curl("/a/hello?name=pspd", "-H", f"traceparent: 00-{trace_id}-00f067aa0ba902b7-01")
    assert traced.returncode == 0, traced.stderr
    until(lambda: mesh.meshlog("trace", trace_id, check=False).returncode == 0, 30)  # by then the load's would be there
    missing = mesh.meshlog("trace", UNSAMPLED.split("-")[1], check=False)
    assert missing.returncode != 0
    assert "not sampled" in missing.stderr


@pytest.mark.mesh
@pytest.mark.parametrize(
    ("run", "path", "cause"),
    [
        pytest.param(k6.run, "grpc", "HTTP 400", marks=pytest.mark.tool("k6")),
        pytest.param(wrk.run, "grpc", "HTTP 400 or more", marks=pytest.mark.tool("wrk")),
        pytest.param(ghz.run, "native", "gRPC InvalidArgument", marks=pytest.mark.tool("ghz")),
    ],
)
def test_calls_that_are_refused_are_counted_by_their_cause(
    mesh: Mesh, run: Callable[[Load], ToolResult], path: str, cause: str
) -> None:
    too_many = Cell(path, "b", USERS, count=10_001, delay_ms=0)
    found = run(Load(too_many, f"localhost:{mesh.grpc}", 1.0))
    assert found.calls == 0
    assert set(found.errors) == {cause}
    assert found.errors[cause] > USERS


@EACH
def test_where_nobody_listens_no_tool_is_started(run: Callable[[Load], ToolResult], free_port: int) -> None:
    with pytest.raises(ToolFailed, match="is the mesh up"):
        run(Load(Cell(path_for(run), "a", USERS), f"127.0.0.1:{free_port}", 60.0))


@EACH
def test_a_host_that_hangs_up_is_counted_as_errors(run: Callable[[Load], ToolResult], hanging_up: str) -> None:
    found = run(Load(Cell(path_for(run), "a", USERS), hanging_up, 1.0))
    assert found.calls == 0
    assert sum(found.errors.values()) > 0, found


@EACH
def test_a_host_that_never_answers_ends_the_run_in_time(run: Callable[[Load], ToolResult], silent: str) -> None:
    found = run(Load(Cell(path_for(run), "a", USERS), silent, 1.0, timeout_seconds=2.0))
    assert found.calls == 0
    assert sum(found.errors.values()) >= USERS, found


@pytest.mark.parametrize("module", [k6, ghz, wrk], ids=["k6", "ghz", "wrk"])
def test_a_tool_that_is_missing_says_where_to_get_it(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled, match=rf"^{module.NAME} is not on PATH; .*(\.ci/install-tools|apt-get install)"):
        module.run(Load(Cell(path_for(module.run), "a", 1), "localhost:1", 1.0))


@pytest.mark.parametrize(
    ("tool", "cell", "reason"),
    [
        ("k6", Cell("native", "a", 5), "JSON"),
        ("k6", Cell("grpc", "echo", 5), "journey"),
        ("k6", Cell("grpc", "a", 5, rate=100.0), "closed"),
        ("k6", Cell("grpc", "a", 5, http="2"), "HTTP/1.1"),
        ("wrk", Cell("grpc", "report", 5), "one route"),
        ("wrk", Cell("direct-rest", "a", 5), "edge"),
        ("ghz", Cell("grpc", "a", 5), "native gRPC"),
        ("ghz", Cell("native", "report", 5), "one method"),
        ("ghz", Cell("native", "a", 5, reuse=False), "keeps"),
    ],
)
def test_a_cell_that_a_tool_cannot_run_is_refused_with_the_reason(tool: str, cell: Cell, reason: str) -> None:
    with pytest.raises(CannotRun, match=reason):
        TOOLS[tool](Load(cell, "localhost:1", 1.0))
