"""`meshlog events --stream runs` shows the runs of the benchmark, whether the mesh is up or down."""

import asyncio

import pytest

from mesh.control.client import ControlClient
from mesh.events import BenchmarkBegun, BenchmarkEnded, RunEvent
from mesh.substrates.laptop.places import places
from mesh.tests.commits import commit
from mesh.tests.meshes import Mesh, a_mesh, small_topology

pytestmark = pytest.mark.mesh

BEGUN = BenchmarkBegun("r1", "quick", 1, 7, "abc123", "0.1.0", {"cpu": "2 cores"}, {"users": "25"}, 8, 10)
ENDED = BenchmarkEnded("r1", "finished", 2, 79, 1, ("REST is faster for A",), "runs/r1")


async def append(mesh: Mesh, *events: RunEvent) -> None:
    async with ControlClient(places(mesh.home, mesh.name).control_address) as control:
        for event in events:
            await control.append("runs", commit("c", event))


def shown(mesh: Mesh) -> list[tuple[int, str, str]]:
    return [(event["position"], event["type"], event["data"]["run_id"]) for event in mesh.events("--stream", "runs")]


def test_runs_are_shown_while_the_mesh_is_up_and_when_it_is_down() -> None:
    with a_mesh("runs") as mesh:
        (mesh.home / "topology.toml").write_text(small_topology())
        mesh.up("--file", str(mesh.home / "topology.toml"))
        assert shown(mesh) == []
        asyncio.run(append(mesh, BEGUN, ENDED))
        kept = [(1, "BenchmarkBegun", "r1"), (2, "BenchmarkEnded", "r1")]
        assert shown(mesh) == kept
        assert mesh.events("--stream", "runs")[1]["data"]["verdicts"] == ["REST is faster for A"]
        mesh.down()
        assert shown(mesh) == kept
