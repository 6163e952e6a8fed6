"""SIGKILL of any single process: the mesh heals or is adopted, and no answered call is missing from the log."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.tests.load import get, load
from mesh.tests.meshes import Mesh, a_mesh, until, until_async

pytestmark = pytest.mark.mesh

DEFAULT = Path(__file__).parents[2] / "manifests" / "topology.toml"
NAMES = [
    "control-plane",
    "sink",
    "reflection",
    "journal",
    "a-v1-1",
    "sidecar-a-v1-1",
    "b-v1-1",
    "a-rest-v1-1",
    "sidecar-b-rest-v1-1",
    "edge",
]


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A mesh whose A has two replicas of its first version."""
    with a_mesh("killed") as made:
        file = made.home / "topology.toml"
        file.write_text(
            DEFAULT.read_text().replace(
                "[services.a.versions.v1]\nreplicas = 1", "[services.a.versions.v1]\nreplicas = 2"
            )
        )
        assert "replicas = 2" in file.read_text()
        made.up("--file", str(file))
        yield made


def healthy(mesh: Mesh) -> bool:
    return bool(mesh.status()["healthy"])


@pytest.mark.parametrize("process", NAMES)
def test_a_killed_process_is_back_and_the_mesh_healthy(mesh: Mesh, process: str) -> None:
    before = mesh.kill(process)
    until(lambda: process in {p["name"] for p in mesh.status()["processes"] if p["pid"] not in (None, before)})
    until(lambda: healthy(mesh), 30)
    for port in (mesh.grpc, mesh.rest):
        assert asyncio.run(get(port, "/a/hello")).status == 200
        assert asyncio.run(get(port, "/b/numbers?count=2")).status == 200


@pytest.mark.parametrize("process", ["a-v1-1", "sidecar-a-v1-2"])
async def test_no_get_fails_while_one_of_two_replicas_dies(mesh: Mesh, process: str) -> None:
    async with load(mesh.grpc, "/a/hello?name=x") as calls:
        await asyncio.sleep(0.5)
        for _ in range(2):
            mesh.kill(process)
            await asyncio.sleep(1.0)
            await until_async(lambda: healthy(mesh), 30)
    assert len(calls.answers) > 100
    assert calls.failed == []


async def test_no_answered_call_is_missing_from_the_log_whoever_dies(mesh: Mesh) -> None:
    """The edge, the journal's shipper and the control plane are killed under load; what clients had answered is in the log."""
    async with load(mesh.grpc, "/a/hello?name=x", clients=4, pause=0.005) as calls:
        for process in ("edge", "journal", "control-plane", "edge"):
            await asyncio.sleep(0.7)
            mesh.kill(process)
        await asyncio.sleep(1.0)
        await until_async(lambda: healthy(mesh), 30)
    answered = calls.ids()
    assert len(answered) > 100

    def missing() -> set[str]:
        return answered - {call["call_id"] for call in mesh.calls()}

    await until_async(lambda: not missing(), 30, 1.0)
    recorded = [call["call_id"] for call in mesh.calls()]
    assert len(recorded) == len(set(recorded))  # and each exactly once


async def test_a_killed_supervisor_leaves_everything_serving_and_the_next_up_adopts_it(mesh: Mesh) -> None:
    pids = {p["name"]: p["pid"] for p in mesh.status()["processes"]}
    position = mesh.status()["position"]
    async with load(mesh.grpc, "/a/hello?name=x", clients=2, pause=0.01) as calls:
        mesh.kill("supervisor")
        await asyncio.sleep(1.0)
        file = str(mesh.home / "topology.toml")
        await asyncio.to_thread(mesh.up, "--file", file)
    assert calls.failed == []
    status = mesh.status()
    after = {p["name"]: p["pid"] for p in status["processes"]}
    assert {name: pid for name, pid in after.items() if name != "supervisor"} == {
        name: pid for name, pid in pids.items() if name != "supervisor"
    }
    assert after["supervisor"] != pids["supervisor"]
    assert (status["healthy"], status["position"]) == (True, position)
    await asyncio.to_thread(mesh.kill, "a-v1-1")  # what was adopted is kept as what was started
    await until_async(lambda: healthy(mesh), 30)


async def test_envoy_starts_without_the_control_plane_from_the_last_good_snapshot_and_catches_up(mesh: Mesh) -> None:
    log = mesh.home / mesh.name / "log"
    aside = log.with_name("log-aside")
    mesh.kill("supervisor", 19)  # SIGSTOP: so that nobody brings the control plane back before its log is out of reach
    log.rename(aside)
    log.write_text("not a directory, so the control plane cannot start\n")
    mesh.kill("control-plane")
    mesh.kill("supervisor", 18)  # SIGCONT
    await asyncio.sleep(0.5)
    edge = mesh.kill("edge")
    assert mesh.status()["control_plane"] == "unavailable"
    await until_async(
        lambda: any(
            p["name"] == "edge" and p["pid"] not in (None, edge) and p["state"] == "ready"
            for p in mesh.status()["processes"]
        ),
        30,
    )
    assert (await get(mesh.grpc, "/a/hello")).status == 200
    log.unlink()
    shutil.move(aside, log)
    await until_async(lambda: healthy(mesh), 30)
    mesh.meshlog("shift", "a", "v1=50", "v2=50")
    await until_async(lambda: healthy(mesh), 30)
    assert (await get(mesh.grpc, "/a/hello")).headers["x-meshlog-position"] == str(mesh.status()["position"])
    mesh.meshlog("shift", "a", "v1=100")
