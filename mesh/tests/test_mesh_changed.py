"""A running mesh and a file that changes: what it says is brought about, whatever has to be started again for that; or nothing is."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.substrates.laptop.processes import find
from mesh.tests.load import get, load
from mesh.tests.meshes import Mesh, a_mesh, small_topology, until, until_async

pytestmark = pytest.mark.mesh

DEFAULT = Path(__file__).parents[2] / "manifests" / "topology.toml"


@pytest.fixture(scope="module")
def changing() -> Iterator[Mesh]:
    with a_mesh("changing") as made:
        apply(made)
        yield made


def apply(mesh: Mesh, *changes: tuple[str, str], check: bool = True) -> str:
    """Bring the mesh to the small topology with `changes`; what is said."""
    text = small_topology()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = mesh.home / "topology.toml"
    file.write_text(text)
    return mesh.up("--file", str(file), check=check).stderr


def pids(mesh: Mesh) -> dict[str, int]:
    return {process["name"]: process["pid"] for process in mesh.status()["processes"]}


@pytest.mark.parametrize(
    ("old", "new", "restarted"),
    [
        ('trust_domain = "pspd.local"', 'trust_domain = "other.local"', {"edge", "sidecar-a-v1-1"}),
        ("connections = 8192", "connections = 500", {"edge"}),
        ("admin_port = 9901", "admin_port = 9902", {"edge"}),
        ("grpc_port = 8080", "grpc_port = 8090", set()),
        ("first_port = 15100", "first_port = 15150", set()),
        ('command = ["{python}", "-m"', 'command = ["{python}", "-X", "utf8", "-m"', {"a-v1-1"}),
    ],
)
async def test_what_the_file_changes_is_in_force_when_up_returns(
    changing: Mesh, old: str, new: str, restarted: set[str]
) -> None:
    apply(changing)
    before = pids(changing)
    apply(changing, (old, new))
    after = pids(changing)
    assert restarted <= {name for name in after if after[name] != before.get(name)}
    assert after["control-plane"] == before["control-plane"]
    assert changing.status()["healthy"]
    if "15150" in new:
        assert [15150 + changing.offset] in [process["ports"] for process in changing.status()["processes"]]
    port = changing.grpc + (10 if "8090" in new else 0)
    assert (await get(port, "/a/hello")).status == 200
    if "8090" in new:
        assert changing.curl("/a/hello").returncode  # nobody listens there any more


def recorded(mesh: Mesh) -> int:
    calls: int = mesh.status()["calls"]["recorded"]
    return calls


async def test_an_edge_without_a_journal_serves_and_leaves_no_trace_until_the_file_says_otherwise(
    changing: Mesh,
) -> None:
    async def called(times: int) -> None:
        for _ in range(times):
            assert (await get(changing.grpc, "/a/hello")).status == 200

    apply(changing)
    before, kept = pids(changing), recorded(changing)
    await called(3)
    await until_async(lambda: recorded(changing) == kept + 3)
    apply(changing, ("# journal = false", "journal = false"))
    await called(5)
    assert changing.status()["healthy"]
    apply(changing)
    await called(2)  # whatever the five had left would have come before these
    await until_async(lambda: recorded(changing) >= kept + 5)
    assert recorded(changing) == kept + 5
    assert changing.status()["healthy"]
    assert pids(changing) == before


async def test_a_change_that_cannot_be_changes_nothing(changing: Mesh) -> None:
    apply(changing)
    before, position = pids(changing), changing.status()["position"]
    assert "99" in apply(changing, ("replicas = 1", "replicas = 99"), check=False)
    with socket.create_server(("127.0.0.1", 15101 + changing.offset)):
        said = apply(changing, ("replicas = 1", "replicas = 2"), check=False)
    assert f"port {15101 + changing.offset} is taken by" in said
    assert (pids(changing), changing.status()["position"]) == (before, position)
    assert (await get(changing.grpc, "/a/hello")).status == 200


def test_a_workload_that_dies_again_and_again_is_told_and_started_ever_more_slowly(changing: Mesh) -> None:
    apply(changing)
    said = apply(
        changing, ('"-m", "services.a", "--listen", "{listen}"', '"-c", "raise SystemExit(\'no money\')"'), check=False
    )
    assert "a-v1-1 exited with status 1: no money" in said
    table = changing.meshlog("status", check=False)
    assert table.returncode == 3
    assert "no money" in table.stdout
    begun = next(p for p in changing.status()["processes"] if p["name"] == "a-v1-1")["restarts"]
    assert begun < 15
    apply(changing)
    until(lambda: changing.status()["healthy"])


async def test_a_replica_that_the_file_takes_away_takes_no_call_with_it() -> None:
    with a_mesh("fewer") as mesh:
        file = mesh.home / "topology.toml"
        two = DEFAULT.read_text().replace(
            "[services.a.versions.v1]\nreplicas = 1", "[services.a.versions.v1]\nreplicas = 2"
        )
        file.write_text(two.replace("[services.b.versions.v1]\nreplicas = 1", "[services.b.versions.v1]\nreplicas = 2"))
        await asyncio.to_thread(mesh.up, "--file", str(file))
        async with (
            load(mesh.grpc, "/a/hello?name=x", clients=4) as unary,
            load(mesh.grpc, "/b/numbers?count=10&delay_ms=100", clients=8) as streams,
        ):
            await asyncio.sleep(1.5)
            file.write_text(DEFAULT.read_text())
            await asyncio.to_thread(mesh.up, "--file", str(file))
            await until_async(lambda: not {"a-v1-2", "b-v1-2", "sidecar-b-v1-2"} & {f.name for f in find(mesh.run)})
        assert len(streams.answers) > 8
        assert (unary.failed, streams.failed) == ([], [])
