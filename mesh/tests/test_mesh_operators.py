"""What operators do to a mesh, in haste or by mistake: commands at the same moment, interrupted, or killed half-way."""

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.substrates.laptop.processes import remains
from mesh.tests.load import get
from mesh.tests.meshes import Mesh, a_mesh, small_topology, until

pytestmark = pytest.mark.mesh


@pytest.fixture
def small() -> Iterator[Mesh]:
    """A mesh of one service, not up yet."""
    with a_mesh("small") as made:
        (made.home / "topology.toml").write_text(small_topology())
        yield made


def begin(mesh: Mesh, *arguments: str) -> subprocess.Popen[str]:
    """`meshlog up`, under way."""
    command = [sys.executable, "-m", "mesh.cli.main", "up", "--name", mesh.name, "--port-offset", str(mesh.offset)]
    command += ["--file", str(mesh.home / "topology.toml"), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=mesh._environment(), stdout=pipe, stderr=pipe, text=True)


def up(mesh: Mesh, **kwargs: bool) -> subprocess.CompletedProcess[str]:
    return mesh.up("--file", str(mesh.home / "topology.toml"), **kwargs)


def marked(mesh: Mesh) -> Counter[str]:
    """How many processes there are of each name."""
    return Counter(process.environ()["MESHLOG_PROCESS"] for process in remains(mesh.run))


def is_down(mesh: Mesh) -> bool:
    return not marked(mesh) and not mesh.run.exists()


async def test_two_ups_at_the_same_moment_make_one_mesh(small: Mesh) -> None:
    both = [begin(small, "--detach"), begin(small, "--detach")]
    said = [one.communicate(timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert set(marked(small).values()) == {1}
    assert (await get(small.grpc, "/a/hello")).status == 200


def test_two_downs_at_the_same_moment_are_no_error(small: Mesh) -> None:
    up(small)
    command = [sys.executable, "-m", "mesh.cli.main", "down", "--name", small.name]
    both = [subprocess.Popen(command, env=small._environment()) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert is_down(small)


@pytest.mark.parametrize("seconds", [0.2, 0.6, 1.0])
def test_down_ends_an_up_that_is_under_way(small: Mesh, seconds: float) -> None:
    with begin(small, "--detach") as started:
        until(lambda: marked(small)["supervisor"])
        time.sleep(seconds)
        small.down()
        _, said = started.communicate(timeout=60)
    assert is_down(small)
    assert "Traceback" not in said


@pytest.mark.parametrize("seconds", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_up_leaves_nothing_half_started(small: Mesh, number: int, seconds: float) -> None:
    with begin(small) as started:
        until(lambda: marked(small)["supervisor"], every=0.02)
        time.sleep(seconds)
        started.send_signal(number)
        time.sleep(0.2)
        started.send_signal(number)  # an impatient second one must not cut the clearing up short
        _, said = started.communicate(timeout=60)
    assert started.returncode in (128 + number, -number)  # the second may meet a command that has cleared up
    assert "Traceback" not in said
    assert is_down(small)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("who", ["up", "supervisor"])
async def test_who_comes_after_a_killed_start_makes_one_whole_mesh_of_what_it_finds(
    small: Mesh, who: str, seconds: float
) -> None:
    with begin(small, "--detach") as started:
        until(lambda: marked(small)["supervisor"], every=0.02)
        time.sleep(seconds)
        if who == "up":
            started.kill()
        else:
            small.kill("supervisor")
            small_left = marked(small)
            assert "Traceback" not in started.communicate(timeout=60)[1], small_left
    up(small)
    assert set(marked(small).values()) == {1}
    assert small.status()["healthy"]
    assert (await get(small.grpc, "/a/hello")).status == 200


def test_down_ends_what_a_killed_supervisor_left(small: Mesh) -> None:
    up(small)
    small.kill("supervisor")
    small.down()
    assert is_down(small)


def test_a_stopped_supervisor_is_told_and_can_be_ended(small: Mesh) -> None:
    up(small)
    pid = small.kill("supervisor", signal.SIGSTOP)
    assert f"kill -CONT {pid}" in up(small, check=False).stderr
    assert "stopped" in small.meshlog("status", check=False).stdout
    begun = time.monotonic()
    small.down()
    assert time.monotonic() - begun < 15
    assert is_down(small)


def test_a_stopped_control_plane_is_told_within_ten_seconds_by_every_command(small: Mesh) -> None:
    up(small)
    small.kill("control-plane", signal.SIGSTOP)
    commands = (("status",), ("events",), ("events", "--follow"), ("shift", "a", "v1=100"), ("status", "--json"))

    def told(command: tuple[str, ...]) -> tuple[float, subprocess.CompletedProcess[str]]:
        begun = time.monotonic()
        done = small.meshlog(*command, check=False)
        return time.monotonic() - begun, done

    with ThreadPoolExecutor(len(commands)) as together:
        for seconds, done in together.map(told, commands):
            assert done.returncode
            assert "Traceback" not in done.stderr
            assert seconds < 11
            assert done.stdout or re.fullmatch("meshlog: .+\n", done.stderr)
    small.kill("control-plane", signal.SIGCONT)


def test_the_events_of_a_mesh_that_is_down_are_those_it_had(small: Mesh) -> None:
    assert "no log" in small.meshlog("events", check=False).stderr
    up(small)
    small.curl("/a/hello?name=x")
    until(small.calls)
    small.down()
    assert [event["type"] for event in small.events("--stream", "mesh")][-1] == "TopologyApplied"
    assert len(small.calls()) == 1
    assert "is down" in small.meshlog("events", "--follow", check=False).stderr
    assert "is down" in small.meshlog("shift", "a", "v1=100", check=False).stderr
    assert "is down" in small.meshlog("trace", "0af7651916cd43dd8448eb211c80319c", check=False).stderr
    status = small.meshlog("status", "--json", check=False)
    assert (status.returncode, small.status()["processes"], small.status()["nodes"]) == (4, [], [])


def test_a_reader_who_has_seen_enough_is_no_error(small: Mesh) -> None:
    up(small)
    command = f"{sys.executable} -m mesh.cli.main events --name {small.name} | head -1"
    done = subprocess.run(command, shell=True, env=small._environment(), capture_output=True, text=True)
    assert (done.stderr, len(done.stdout.splitlines())) == ("", 1)


def test_calls_under_way_are_answered_before_the_mesh_is_down_and_are_in_the_log(small: Mesh) -> None:
    file = small.home / "topology.toml"
    file.write_text(small_topology("b"))
    up(small)
    url = f"http://localhost:{small.grpc}/b/numbers?count=15&delay_ms=100"
    with subprocess.Popen(["curl", "-sS", url], stdout=subprocess.PIPE, text=True) as call:
        until(lambda: small.status()["calls"]["in_flight"] == 1)
        small.down()
        answer, _ = call.communicate(timeout=10)
    assert answer.count("value") == 15
    assert call.returncode == 0
    assert [ended["messages"] for ended in small.calls("StreamEnded")] == [15]


@pytest.mark.parametrize("name", ["", "../up", "UPPER", "x" * 33, "a b", "-x", "ü"])
def test_a_name_that_cannot_be_one_is_told(small: Mesh, name: str) -> None:
    said = replace(small, name=name).meshlog("status", check=False)
    assert said.returncode == 1
    assert "cannot name a mesh" in said.stderr


@pytest.mark.parametrize("offset", ["-1", "60000", "1e3", "99999999999999999999"])
def test_a_port_offset_that_cannot_be_one_is_told(small: Mesh, offset: str) -> None:
    said = small.meshlog("up", "--detach", "--port-offset", offset, check=False)
    assert said.returncode in (1, 2)
    assert "Traceback" not in said.stderr
    assert not remains(small.run)


@pytest.mark.parametrize("below", ["a b ü", "x" * 150])
async def test_a_home_of_any_name_will_do(small: Mesh, below: str) -> None:
    """Unix sockets have short paths; homes need not."""
    topology = (small.home / "topology.toml").read_text()
    small.home = small.home / below
    small.home.mkdir()
    (small.home / "topology.toml").write_text(topology)
    up(small)
    assert (await get(small.grpc, "/a/hello")).status == 200
    small.environment["TMPDIR"] = str(small.home)  # another shell, another environment
    small.down()
    assert is_down(small)


def test_a_home_that_cannot_be_one_is_told(small: Mesh) -> None:
    (small.home / "file").write_text("")
    small.environment["MESHLOG_HOME"] = str(small.home / "file")
    said = small.meshlog("up", "--detach", "--port-offset", str(small.offset), check=False)
    assert said.returncode == 1
    assert "MESHLOG_HOME" in said.stderr.splitlines()[-1]


def test_commands_work_where_the_directory_they_are_called_in_was_removed(small: Mesh) -> None:
    gone = small.home / "gone"
    gone.mkdir()
    command = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m mesh.cli.main status --name {small.name}"
    environment = {**small._environment(), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (4, "")
