"""`locust -f loadtests/locustfile.py`, as Locust's users call it: without our command, from wherever they are."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.model.cells import RAMP
from mesh.tests.meshes import Mesh

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
RUN = "8s"  # Locust's clock starts before it has imported everything, which may take seconds here
FILE = ROOT / "loadtests" / "locustfile.py"


def locust(where: Path, *arguments: str, files: str = str(FILE)) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "locust", "-f", files, "--headless", "--only-summary", *arguments],
        cwd=where,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def rows(prefix: Path) -> dict[str, dict[str, str]]:
    with Path(f"{prefix}_stats.csv").open() as file:
        return {row["Name"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("classes", "port", "routes"),
    [
        ((), "grpc", {"/a/hello", "/b/numbers"}),  # nobody named a class: the gRPC path alone
        (("RestPathUser", "--journey", "b", "--count", "2"), "rest", {"/b/numbers"}),
        (("NativeGrpcUser", "--journey", "a", "--rate", "5"), "grpc", {"/a/hello"}),
        (("RestPathUser", "--http", "2", "--new-connections"), "rest", {"/a/hello", "/b/numbers"}),
    ],
)
def test_users_call_their_path_without_a_failure(
    mesh: Mesh, tmp_path: Path, classes: tuple[str, ...], port: str, routes: set[str]
) -> None:
    host = f"http://localhost:{getattr(mesh, port)}"
    done = locust(
        tmp_path, "-u", "4", "-r", "4", "-t", RUN, "--csv", "run", "--html", "run.html", "--host", host, *classes
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(tmp_path / "run")
    assert found.keys() == {*routes, "Aggregated"}
    assert all(int(row["Request Count"]) > 0 and row["Failure Count"] == "0" for row in found.values())
    assert "<html" in (tmp_path / "run.html").read_text()


def test_response_times_are_kept_to_the_microsecond(mesh: Mesh, tmp_path: Path) -> None:
    """Locust's own are whole milliseconds; its CSV files still round, its web UI, HTML and JSON do not."""
    host = f"http://localhost:{mesh.grpc}"
    done = locust(tmp_path, "-u", "2", "-t", RUN, "--host", host, "--journey", "a", "--json")
    (entry,) = json.loads(done.stdout)
    assert any(float(milliseconds) % 1 for milliseconds in entry["response_times"])


def test_a_path_that_is_not_there_is_failures_with_their_cause(tmp_path: Path) -> None:
    done = locust(tmp_path, "-u", "2", "-t", RUN, "--csv", "run", "--host", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "connection refused" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_host_that_is_none_is_said(tmp_path: Path) -> None:
    done = locust(tmp_path, "-u", "1", "-t", RUN, "--host", "localhost:8080")
    assert "it must be like http://localhost:8080" in done.stdout + done.stderr


RAMP_OF = """
import json
from types import SimpleNamespace
from loadtests.shapes import ReportRamp

shape = ReportRamp()
shape.runner = SimpleNamespace(environment=SimpleNamespace(parsed_options=None))
seen = []
for seconds in range(0, 241, 15):
    shape.get_run_time = lambda: seconds
    seen.append(shape.tick())
print(json.dumps(seen))
"""


def test_the_ramp_goes_through_the_reports_steps() -> None:
    # in a process of its own: to import Locust is to have gevent take over
    done = subprocess.run([sys.executable, "-c", RAMP_OF], capture_output=True, text=True, timeout=60, check=True)
    seen = json.loads(done.stdout)
    assert seen.pop() is None  # after 240 s
    assert [users for users, _ in seen] == [users for users in RAMP for _ in range(2)]  # each for 30 s


def test_locust_climbs_the_ramp_and_ends_by_itself(mesh: Mesh, tmp_path: Path) -> None:
    files = f"{FILE},{FILE.with_name('shapes.py')}"
    host = f"http://localhost:{mesh.rest}"
    done = locust(
        tmp_path, "--stage-seconds", "1.5", "--csv", "run", "--csv-full-history", "--host", host, "RestPathUser",
        "--timeout-seconds", "120", files=files,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    with (tmp_path / "run_stats_history.csv").open() as file:
        users = {int(row["User Count"]) for row in csv.DictReader(file)}
    assert max(users) > 1_600
    assert rows(tmp_path / "run")["Aggregated"]["Failure Count"] == "0"


def test_workers_elsewhere_join_a_comparisons_master(mesh: Mesh, tmp_path: Path) -> None:
    """A worker that somebody starts by hand, as on another machine, takes its share of the users."""
    from loadtests.generator.client import generating
    from loadtests.model.cells import Cell
    from mesh.tests.ports import ports

    port = ports(22_000, 23_000)()
    command = [sys.executable, "-m", "locust", "-f", str(FILE), "--worker", "--master-host", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--master-port", str(port), "--loglevel", "ERROR"], stdin=subprocess.DEVNULL
    ) as elsewhere:
        try:
            with generating(tmp_path, workers=1, remote_workers=1, port=port) as load:
                load.start(Cell("grpc", "a", 4), f"http://127.0.0.1:{mesh.grpc}", sampled_percent=0)
                load.begin()
                seen = load.end()
            assert len(seen) == 2
            assert {one["pid"] for one in seen} >= {elsewhere.pid}
        finally:
            elsewhere.kill()
