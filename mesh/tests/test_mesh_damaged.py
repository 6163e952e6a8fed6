"""Files that are damaged, gone, or have no room: one sentence, nothing lost, nothing left running; and a running mesh runs on."""

import itertools
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mesh.substrates.laptop.processes import remains
from mesh.tests.load import get
from mesh.tests.meshes import Mesh, a_mesh, small_topology, until

pytestmark = pytest.mark.mesh


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    with a_mesh("damaged") as made:
        (made.home / "topology.toml").write_text(small_topology())
        up(made)
        made.curl("/a/hello?name=x")
        until(made.calls)
        made.down()
        yield made


def up(mesh: Mesh, **kwargs: bool) -> subprocess.CompletedProcess[str]:
    return mesh.up("--file", str(mesh.home / "topology.toml"), **kwargs)


@pytest.mark.parametrize(
    ("file", "said"),
    [("log/mesh.db", "mesh.db"), ("log/calls.db", "calls.db"), ("ca/ca.key", "certificate authority")],
)
def test_a_damaged_file_that_cannot_be_made_again_is_told_and_nothing_is_started(
    mesh: Mesh, file: str, said: str
) -> None:
    path = mesh.home / mesh.name / file
    kept = path.read_bytes()
    garbage = b"garbage " * 4096
    path.write_bytes(garbage)
    done = up(mesh, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert path.read_bytes() == garbage  # not ours to throw away
    assert remains(mesh.run) == []
    path.write_bytes(kept)
    up(mesh)
    assert len(mesh.calls()) == 1
    mesh.down()


async def test_damaged_files_that_can_be_made_again_are_made_again(mesh: Mesh) -> None:
    up(mesh)
    mesh.kill("supervisor")
    for file in ("plan.msgpack", "state.json", "nodes/edge/identity/current/cert.pem", "identity/current/key.pem"):
        (mesh.run / file).write_bytes(b"\x00garbage")
    for snapshot in (mesh.home / mesh.name / "snapshots").iterdir():
        snapshot.write_bytes(b"\x00garbage")
    status = mesh.meshlog("status", "--json", check=False)
    assert status.returncode == 3
    assert {p["name"] for p in mesh.status()["processes"]} >= {"edge", "sidecar-a-v1-1", "control-plane"}
    up(mesh)
    mesh.kill("edge")
    until(lambda: mesh.status()["healthy"], 30)
    assert (await get(mesh.grpc, "/a/hello")).status == 200
    (mesh.run / "state.json").write_bytes(b"[]")
    mesh.down()
    assert remains(mesh.run) == []


@pytest.mark.skipif(
    shutil.which("mount") is None or psutil.Process().uids().real != 0, reason="only root can make a small disk"
)
def test_a_disk_that_fills_up_stops_no_call_and_all_is_well_again_when_there_is_room(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", tmp_path], check=True)
    try:
        with a_mesh("full") as mesh:
            home, mesh.home = mesh.home, tmp_path
            (tmp_path / "topology.toml").write_text(small_topology())
            up(mesh)
            before = {p["name"]: p["pid"] for p in mesh.status()["processes"]}
            ballast = tmp_path / "ballast"
            with ballast.open("wb") as file, pytest.raises(OSError, match="No space"):  # noqa: PT012
                while True:
                    file.write(bytes(65_536))
                    file.flush()
            answers = [mesh.curl("/a/hello?name=x", "-o", "/dev/null", "-w", "%{http_code}").stdout for _ in range(50)]
            assert set(answers) == {"200"}
            refused = mesh.meshlog("shift", "a", "v1=100", check=False)
            assert "Traceback" not in refused.stderr
            again = up(mesh, check=False)
            assert again.returncode == 1
            assert "the disk is full" in again.stderr
            assert {p["name"]: p["pid"] for p in mesh.status()["processes"]} == before
            ballast.unlink()
            until(lambda: mesh.status()["healthy"], 30)
            called = itertools.count(51)

            def all_accounted_for() -> bool:
                """Each worker of the edge declares what it lost with the next call that it can write down."""
                mesh.curl("/a/hello?name=y")
                time.sleep(0.5)
                books = mesh.status()["calls"]
                return bool(books["recorded"] + books["lost"] == next(called) and books["lost"])

            until(all_accounted_for, 30)
            mesh.down()
            mesh.home = home
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)
