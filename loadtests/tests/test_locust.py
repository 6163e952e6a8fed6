"""`locust -f loadtests/locustfile.py`, as Locust's users call it: without our command, from wherever they are."""

import csv
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtests.model.cells import RAMP
from mesh.tests.meshes import Mesh

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
RUN = "14s"  # Locust's clock starts before it has imported everything, which takes seconds for all of COMMANDS at once
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


COMMANDS = {  # name -> path of the mesh, arguments; a run of each, side by side
    "nobody named a class": ("grpc", ("-u", "4", "-r", "4")),
    "one route": ("rest", ("-u", "4", "-r", "4", "RestPathUser", "--journey", "b", "--count", "2")),
    "native, at a rate": ("grpc", ("-u", "4", "-r", "4", "NativeGrpcUser", "--journey", "a", "--rate", "5")),
    "no connection twice": ("rest", ("-u", "4", "-r", "4", "RestPathUser", "--http", "2", "--new-connections")),
    "json": ("grpc", ("-u", "2", "--journey", "a", "--json")),
    "nobody is there": ("", ("-u", "2", "--host", "http://127.0.0.1:9")),
    "no host": ("", ("-u", "1", "--host", "localhost:8080")),
}


@dataclass(frozen=True)
class Done:
    where: Path
    status: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


@pytest.fixture(scope="module")
def done(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """What came of each of COMMANDS."""

    def run(command: tuple[str, tuple[str, ...]]) -> Done:
        path, arguments = command
        where = tmp_path_factory.mktemp("locust")
        host = ("--host", f"http://localhost:{getattr(mesh, path)}") if path else ()
        ended = locust(where, "-t", RUN, "--csv", "run", "--html", "run.html", *host, *arguments)
        return Done(where, ended.returncode, ended.stdout, ended.stderr)

    with ThreadPoolExecutor(len(COMMANDS)) as together:
        return dict(zip(COMMANDS, together.map(run, COMMANDS.values()), strict=True))


@pytest.mark.parametrize(
    ("name", "routes"),
    [
        ("nobody named a class", {"/a/hello", "/b/numbers"}),  # the gRPC path alone
        ("one route", {"/b/numbers"}),
        ("native, at a rate", {"/a/hello"}),
        ("no connection twice", {"/a/hello", "/b/numbers"}),
    ],
)
def test_users_call_their_path_without_a_failure(done: dict[str, Done], name: str, routes: set[str]) -> None:
    run = done[name]
    assert run.status == 0, run.said
    found = rows(run.where / "run")
    assert found.keys() == {*routes, "Aggregated"}
    assert all(int(row["Request Count"]) > 0 and row["Failure Count"] == "0" for row in found.values())
    assert "<html" in (run.where / "run.html").read_text()


def test_response_times_are_kept_to_the_microsecond(done: dict[str, Done]) -> None:
    """Locust's own are whole milliseconds; its CSV files still round, its web UI, HTML and JSON do not."""
    (entry,) = json.loads(done["json"].out)
    assert any(float(milliseconds) % 1 for milliseconds in entry["response_times"])


def test_a_path_that_is_not_there_is_failures_with_their_cause(done: dict[str, Done]) -> None:
    run = done["nobody is there"]
    assert run.status == 1
    assert "connection refused" in run.said
    assert "Traceback" not in run.said


def test_a_host_that_is_none_is_said(done: dict[str, Done]) -> None:
    assert "it must be like http://localhost:8080" in done["no host"].said


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
    ran = subprocess.run([sys.executable, "-c", RAMP_OF], capture_output=True, text=True, timeout=60, check=True)
    seen = json.loads(ran.stdout)
    assert seen.pop() is None  # after 240 s
    assert [users for users, _ in seen] == [users for users in RAMP for _ in range(2)]  # each for 30 s


def test_locust_climbs_the_ramp_and_ends_by_itself(mesh: Mesh, tmp_path: Path) -> None:
    files = f"{FILE},{FILE.with_name('shapes.py')}"
    host = f"http://localhost:{mesh.rest}"
    ended = locust(
        tmp_path, "--stage-seconds", "1.5", "--csv", "run", "--csv-full-history", "--host", host, "RestPathUser",
        "--timeout-seconds", "120", files=files,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
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
