"""Coming up and going down: what a new user sees, and what is left."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mesh.tests.load import get
from mesh.tests.meshes import Mesh, a_mesh, until

pytestmark = pytest.mark.mesh

DEFAULT = Path(__file__).parents[2] / "manifests" / "topology.toml"


@pytest.fixture
def fresh() -> Iterator[Mesh]:
    with a_mesh("fresh") as made:
        yield made


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The error of a command that failed as it should."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_after_down_nothing_is_left_but_the_log(fresh: Mesh) -> None:
    fresh.up()
    processes, ports = fresh.processes(), [port for p in fresh.status()["processes"] for port in p["ports"]]
    assert len(processes) >= 15
    assert all(listens(port) for port in ports)
    fresh.down()
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
    assert not any(listens(port) for port in ports)
    assert not fresh.run.exists()
    assert (fresh.home / fresh.name / "log" / "mesh.db").exists()
    assert fresh.status()["processes"] == []
    fresh.down()  # a second time is no error


def test_the_default_mesh_takes_less_than_700_megabytes(mesh: Mesh) -> None:
    """Proportional set size: what is shared is counted once."""
    taken = {process.pid: process.memory_full_info().pss for process in mesh.processes()}
    print(f"proportional set size: {sum(taken.values()) / 1e6:.0f} MB in {len(taken)} processes")
    assert sum(taken.values()) < 700e6


def test_the_same_file_again_appends_nothing_and_restarts_nobody(mesh: Mesh) -> None:
    before = mesh.status()
    mesh.up()
    after = mesh.status()
    assert after["position"] == before["position"]
    assert {p["pid"] for p in after["processes"]} == {p["pid"] for p in before["processes"]}


def test_a_file_that_adds_a_replica_is_brought_about_and_taken_back(fresh: Mesh) -> None:
    file = fresh.home / "topology.toml"
    file.write_text(DEFAULT.read_text())
    fresh.up("--file", str(file))
    fresh.meshlog("shift", "a", "v1=60", "v2=40")  # what an operator changed stays until the file changes it
    file.write_text(
        DEFAULT.read_text().replace("[services.a.versions.v1]\nreplicas = 1", "[services.a.versions.v1]\nreplicas = 2")
    )
    fresh.up("--file", str(file))
    assert fresh.pid("a-v1-2")
    events = [event for event in fresh.events("--stream", "mesh") if event["position"] == fresh.status()["position"]]
    assert {event["type"] for event in events} == {"WorkloadJoined", "TopologyApplied"}
    versions = {asyncio.run(get(fresh.grpc, "/a/hello")).headers["x-meshlog-version"] for _ in range(60)}
    assert versions == {"v1", "v2"}
    file.write_text(DEFAULT.read_text())
    fresh.up("--file", str(file))
    until(lambda: "a-v1-2" not in {p["name"] for p in fresh.status()["processes"]})
    assert fresh.status()["healthy"]


def test_two_meshes_stand_side_by_side(mesh: Mesh, fresh: Mesh) -> None:
    fresh.up()
    assert asyncio.run(get(fresh.grpc, "/a/hello")).status == 200
    assert asyncio.run(get(mesh.grpc, "/a/hello")).status == 200
    fresh.down()
    assert asyncio.run(get(mesh.grpc, "/a/hello")).status == 200
    assert mesh.status()["healthy"]


def test_a_taken_port_is_told_with_its_owner_and_nothing_is_started(mesh: Mesh, fresh: Mesh) -> None:
    fresh.offset = mesh.offset
    said = one_sentence(fresh.up(check=False))
    assert str(mesh.grpc) in said
    assert "envoy" in said
    assert "'shared'" in said
    assert fresh.processes() == []


def test_a_port_that_a_stranger_took_is_told_too(fresh: Mesh) -> None:
    with socket.create_server(("127.0.0.1", fresh.rest)):
        said = one_sentence(fresh.up(check=False))
    assert f"port {fresh.rest} is taken by python" in said
    assert fresh.processes() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[services.a\n", "line 1"),
        ("[servces.a]\n", "servces"),
        (DEFAULT.read_text().replace("replicas = 1", "replicas = 99", 1), "99"),
        (DEFAULT.read_text().replace("grpc_port = 8080", "grpc_port = 8081"), "grpc_port and rest_port"),
    ],
)
def test_a_broken_topology_file_is_told_in_one_sentence_and_nothing_is_started(
    fresh: Mesh, text: str, said: str
) -> None:
    file = fresh.home / "broken.toml"
    file.write_text(text)
    assert said in one_sentence(fresh.up("--file", str(file), check=False))
    assert fresh.processes() == []


def test_a_missing_file_is_told(fresh: Mesh) -> None:
    assert "nowhere.toml" in one_sentence(fresh.up("--file", "/nowhere.toml", check=False))


def test_a_workload_that_cannot_start_is_told_and_nothing_half_started_stays(fresh: Mesh) -> None:
    file = fresh.home / "topology.toml"
    file.write_text(DEFAULT.read_text().replace('"services.b",', '"services.nothing",'))
    assert '"services.nothing"' in file.read_text()
    said = one_sentence(fresh.up("--file", str(file), check=False))
    assert "b-v1-1" in said
    assert fresh.processes() == []
    assert not fresh.run.exists()


def test_a_hostile_folder_where_the_mesh_is_started_is_not_imported(fresh: Mesh, tmp_path: Path) -> None:
    for name in ("services", "mesh", "edge", "observability"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('hostile code ran')\n")
    environment = {**fresh._environment(), "PYTHONPATH": ""}
    meshlog = shutil.which("meshlog", path=str(Path(sys.executable).parent))
    assert meshlog
    arguments = ["up", "-d", "--name", fresh.name, "--port-offset", str(fresh.offset)]
    done = subprocess.run(
        [meshlog, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    assert asyncio.run(get(fresh.grpc, "/a/hello")).status == 200


def test_ctrl_c_ends_a_mesh_in_the_foreground(fresh: Mesh) -> None:
    command = [sys.executable, "-m", "mesh.cli.main", "up", "--name", fresh.name, "--port-offset", str(fresh.offset)]
    with subprocess.Popen(command, env=fresh._environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as up:
        until(lambda: fresh.status()["healthy"], 60)
        up.send_signal(2)
        up.communicate(timeout=60)
    assert fresh.processes() == []
    assert not fresh.run.exists()


@pytest.mark.skipif(
    shutil.which("mount") is None or psutil.Process().uids().real != 0, reason="only root can make a small disk"
)
def test_a_full_disk_is_told_in_one_sentence_and_nothing_half_started_stays(fresh: Mesh, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        fresh.home = tmp_path
        assert "full" in one_sentence(fresh.up(check=False))
        assert fresh.processes() == []
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_doctor_says_what_is_there(mesh: Mesh) -> None:
    found = {check["check"]: check for check in json.loads(mesh.meshlog("doctor", "--json", check=False).stdout)}
    assert found["envoy"]["ok"]
    assert "1.40" in found["envoy"]["found"]


def test_logs_of_one_process_and_of_an_unknown_one(mesh: Mesh) -> None:
    assert "a-v1-1" in mesh.meshlog("logs", "a-v1-1").stdout
    assert "there are" in mesh.meshlog("logs", "zebra", check=False).stderr
