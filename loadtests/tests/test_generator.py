"""The load generator: a process of its own that does what it is asked, and never outlives who asked."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from loadtests.errors import GeneratorUnusable
from loadtests.generator.client import generating
from loadtests.model.cells import Cell
from loadtests.running.comparison import routes_of
from mesh.tests.meshes import Mesh, until

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(240)]

STARTS = """
import sys, time
from pathlib import Path
from loadtests.generator.client import generating
with generating(Path(sys.argv[1]), workers=2) as load:
    print(*load.pids, flush=True)
    time.sleep(600)
"""


def host(mesh: Mesh, path: str) -> str:
    return f"http://127.0.0.1:{mesh.rest if path == 'rest' else mesh.grpc}"


@pytest.mark.parametrize("path", ["grpc", "rest", "native"])
def test_what_every_worker_saw_is_one_result(mesh: Mesh, tmp_path: Path, path: str) -> None:
    with generating(tmp_path, workers=2) as load:
        load.start(Cell(path, "report", 6), host(mesh, path), sampled_percent=100)
        time.sleep(1.0)
        load.begin()
        time.sleep(2.0)
        seen = load.end()
        load.stop()
    assert len(seen) == 2
    assert all(one["routes"] for one in seen)  # users are spread over both
    routes = routes_of(seen)
    assert set(routes) == {"/a/hello", "/b/numbers"}
    for route in routes.values():
        assert not route.errors
        assert route.calls > 0
    assert routes["/b/numbers"].total_us / routes["/b/numbers"].calls > 50_000  # ten pauses of 5 ms
    traced = [call for one in seen for call in one["traced"]]
    assert len(traced) == sum(route.calls for route in routes.values())


def test_calls_of_one_cell_after_another_are_not_mixed(mesh: Mesh, tmp_path: Path) -> None:
    with generating(tmp_path, workers=1) as load:
        for journey, route in (("a", "/a/hello"), ("b", "/b/numbers"), ("a", "/a/hello")):
            load.start(Cell("grpc", journey, 4), host(mesh, "grpc"), sampled_percent=0)
            time.sleep(0.7)
            load.begin()
            time.sleep(0.5)
            assert set(routes_of(load.end())) == {route}
            load.stop()


def test_a_constant_rate_is_kept(mesh: Mesh, tmp_path: Path) -> None:
    with generating(tmp_path, workers=1) as load:
        load.start(Cell("rest", "a", 10, rate=50.0), host(mesh, "rest"), sampled_percent=0)
        time.sleep(1.0)
        load.begin()
        time.sleep(4.0)
        (seen,) = load.end()
        load.stop()
    assert routes_of([seen])["/a/hello"].calls / seen["seconds"] == pytest.approx(50, rel=0.1)


def test_errors_are_counted_by_their_cause(tmp_path: Path) -> None:
    with generating(tmp_path, workers=1) as load:
        load.start(Cell("grpc", "a", 3), "http://127.0.0.1:9", sampled_percent=0)
        time.sleep(0.7)
        load.begin()
        time.sleep(1.0)
        routes = routes_of(load.end())
    assert routes["/a/hello"].calls == 0
    assert set(routes["/a/hello"].errors) == {"connection refused"}


def test_three_thousand_two_hundred_users_call_without_an_error(mesh: Mesh, tmp_path: Path) -> None:
    """On both paths, one after the other; how fast is the benchmark's business."""
    with generating(tmp_path, workers=1) as load:
        for path in ("grpc", "rest"):
            load.start(Cell(path, "report", 3_200), host(mesh, path), sampled_percent=0)
            answered: set[str] = set()
            for _ in range(10):  # windows, until both calls of the journey have come back
                load.begin()
                time.sleep(4.0)
                routes = routes_of(load.end())
                assert not {name: route.errors for name, route in routes.items() if route.errors}, path
                answered |= {name for name, route in routes.items() if route.calls > 100}
                if len(answered) == 2:
                    break
            load.stop()
            assert answered == {"/a/hello", "/b/numbers"}, path


def test_a_generator_that_is_killed_is_said(tmp_path: Path) -> None:
    with generating(tmp_path, workers=1) as load:
        os.kill(load.pids[0], signal.SIGKILL)
        with pytest.raises(GeneratorUnusable, match="has ended"):
            load.begin()


def test_no_generator_outlives_who_started_it(tmp_path: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    pids = [int(pid) for pid in starter.stdout.readline().split()]
    assert len(pids) == 3
    starter.kill()
    starter.wait(10)
    starter.stdout.close()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 30)
