"""A running mesh and a file that changes: what it says is brought about, whatever has to be started again for that; or nothing is."""

import socket
from collections.abc import Iterator

import pytest

from mesh.tests.load import get
from mesh.tests.meshes import Mesh, a_mesh, small_topology, until

pytestmark = pytest.mark.mesh


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
