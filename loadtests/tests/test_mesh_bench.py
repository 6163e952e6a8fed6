"""`meshlog bench` as its users call it, on a real mesh."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from loadtests.model import measurements, runs
from mesh.tests.meshes import Mesh, a_mesh, until

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(400)]

BENCH = ("bench", "--quick", "--repetitions")


def events(mesh: Mesh) -> list[dict[str, Any]]:
    return [event for event in mesh.events("--stream", "runs") if event["stream"] == "runs"]


def test_an_interrupted_run_goes_on_where_it_stopped_and_tells_all_it_found(mesh: Mesh, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mesh.cli.main", "bench", "--name", mesh.name, "--quick", "--repetitions", "2"]
    with subprocess.Popen(
        [*command, "--seed", "7", "--results", str(tmp_path)],
        env={**os.environ, "MESHLOG_HOME": str(mesh.home)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: [m for d in tmp_path.iterdir() for m in _measured(d)], 120)
        second = mesh.meshlog("bench", "--quick", "--results", str(tmp_path / "second"), check=False)
        assert (second.returncode, "another benchmark runs" in second.stderr) == (1, True)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    (directory,) = tmp_path.glob("*-quick")
    run, before = runs.read(directory), measurements.read(directory)
    assert 0 < len(before) < 2 * len(run.cells)
    assert f"--resume {run.id}" in said
    assert events(mesh)[-1]["data"]["outcome"] == "interrupted"

    done = mesh.meshlog("bench", "--resume", "--results", str(tmp_path), seconds=300)
    found = measurements.read(directory)
    assert found[: len(before)] == before
    assert Counter((m.cell, m.repetition) for m in found) == Counter(
        {(cell, repetition): 1 for cell in run.cells for repetition in (1, 2)}
    )
    for measurement in found:
        _holds_together(measurement)
    assert any(measurement.hops for measurement in found)  # some of the calls were traced
    for name in ("report.html", "report.md", "raw.parquet"):
        assert (directory / name).stat().st_size > 0
    assert "A at 25 users" in done.stdout
    assert str(directory / "report.html") in done.stdout

    begun, _, _, ended = [event["data"] for event in events(mesh) if event["data"]["run_id"] == run.id]
    assert (begun["seed"], begun["kind"], begun["repetitions"]) == (7, "quick", 2)
    assert (ended["outcome"], ended["measured"]) == ("finished", len(found))
    assert ended["verdicts"]
    assert ended["results"] == str(directory)


def _holds_together(measurement: measurements.Measurement) -> None:
    assert measurement.calls > 0
    assert measurement.errors == 0
    kinds = {process.kind for process in measurement.processes}
    assert {"edge", "sidecar", "workload", "journal", "control-plane", "generator"} <= kinds
    assert all(process.pss_bytes > 0 for process in measurement.processes)
    assert measurement.cpu_us_per_call("edge") > 0


def test_a_mesh_that_is_down_is_started_for_the_run_and_ended_after_it(tmp_path: Path) -> None:
    with a_mesh("benched") as own:
        done = own.meshlog(
            *BENCH, "1", "--port-offset", str(own.offset), "--results", str(tmp_path), "--json", seconds=300
        )
        said = json.loads(done.stdout)
        assert Path(said["report"]).exists()
        assert not own.processes()
        assert [event["type"] for event in events(own)] == ["BenchmarkBegun", "BenchmarkEnded"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--quick", "--full"), "exclude each other"),
        (("--resume",), "no unfinished run"),
        (("--resume", "2026-01-01T00-00-00-quick"), "no unfinished run 2026-01-01T00-00-00-quick"),
        (("--resume", "../../etc"), "no unfinished run ../../etc"),
        (("--repetitions", "0"), "--repetitions"),
        (("compare", "/nonexistent", "/neither"), "/nonexistent"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_sentence(
    mesh: Mesh, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    subcommand = arguments[0] == "compare"
    rest = arguments if subcommand else (*arguments, "--results", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "mesh.cli.main", "bench", *(() if subcommand else ("--name", mesh.name)), *rest],
        env={**os.environ, "MESHLOG_HOME": str(mesh.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def _measured(directory: Path) -> list[measurements.Measurement]:
    return measurements.read(directory) if (directory / measurements.FILE).exists() else []
