"""Our generator beside other people's tools, on a real mesh."""

from pathlib import Path

import pytest

from loadtests.agreement.tools import TOOLS
from loadtests.errors import NotInstalled
from loadtests.model.cells import Cell
from loadtests.model.runs import Run
from loadtests.report import write_report
from loadtests.running import check as checking
from loadtests.running.bench import Ending
from mesh.tests.meshes import Mesh

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(240)]


class Log:
    def __init__(self) -> None:
        self.told: list[Run | Ending] = []

    def begun(self, run: Run) -> None:
        self.told.append(run)

    def ended(self, run: Run, ending: Ending) -> None:
        self.told.append(ending)


@pytest.mark.tool("wrk")
def test_the_same_cell_is_run_by_a_tool_and_by_ours_in_turn_and_the_log_is_told(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MESHLOG_HOME", str(mesh.home))
    monkeypatch.setattr(checking, "CELLS", (Cell("grpc", "a", 5),))
    monkeypatch.setattr(checking, "WARMUP_SECONDS", 0.5)
    monkeypatch.setattr(checking, "TOOLS", {"wrk": TOOLS["wrk"]})  # test_check.py has the others
    log = Log()
    (found,), directory = checking.checked(
        mesh.name, port_offset=0, rounds=3, seconds=1.0, seed=1, results=tmp_path, announce=log, say=lambda said: None
    )
    assert {"wrk"} <= {tool.tool for tool in found.tools}
    for tool in found.tools:
        assert tool.rounds == 3
        # both were closed loops of as many users on the same machine: within a factor of three even on a busy one
        assert 1 / 3 < tool.ratios["throughput"].mean < 3
    begun, ended = log.told
    assert isinstance(begun, Run)
    assert begun.kind == "check"
    assert isinstance(ended, Ending)
    assert ended.outcome == "finished"
    assert any("wrk" in verdict for verdict in ended.verdicts)
    assert ended.results == str(directory)
    assert "wrk" in write_report(directory).read_text()


def test_without_any_tool_it_says_what_to_install(mesh: Mesh, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotInstalled, match="k6, ghz, wrk"):
        checking.checked(
            mesh.name,
            port_offset=0,
            rounds=1,
            seconds=1.0,
            seed=1,
            results=tmp_path,
            announce=Log(),
            say=lambda said: None,
        )
