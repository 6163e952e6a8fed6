"""`meshlog fault` changes one sidecar of a running mesh: its hop is slower by as much as was said, and no call fails."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from mesh.tests.load import get, load
from mesh.tests.meshes import Mesh, a_mesh, small_topology, until, until_async

pytestmark = pytest.mark.mesh

DELAY_MS = 40.0  # far above what a hop takes even on a busy machine


@pytest.fixture(scope="module")
def small() -> Iterator[Mesh]:
    with a_mesh("fault") as made:
        (made.home / "topology.toml").write_text(small_topology())
        up(made)
        yield made


def up(mesh: Mesh) -> None:
    mesh.up("--file", str(mesh.home / "topology.toml"))


def fault(mesh: Mesh, *arguments: str) -> str:
    said = mesh.meshlog("fault", "a-v1-1", *arguments).stdout
    until(lambda: mesh.status()["healthy"])
    return said


def fault_felt(mesh: Mesh, *arguments: str) -> None:
    """Change the fault, and call on every connection between edge and sidecar: one call on each may go as before."""
    fault(mesh, *arguments)

    async def call() -> None:
        async with load(mesh.grpc, "/a/hello?name=x", clients=8) as calls:
            await until_async(lambda: len(calls.answers) >= 32)

    asyncio.run(call())


def hops_ms(mesh: Mesh) -> dict[str, float]:
    """How long after its parent each span of a call begins."""
    answer = asyncio.run(get(mesh.grpc, "/a/hello?name=x"))
    spans: list[dict[str, Any]] = json.loads(mesh.meshlog("trace", answer.headers["x-trace-id"], "--json").stdout)[
        "spans"
    ]
    begins = {span["span_id"]: span["offset_ns"] for span in spans}
    children = [span for span in spans if span["parent_id"] in begins]
    return {f"{s['service']} {s['kind']}": (s["offset_ns"] - begins[s["parent_id"]]) / 1e6 for s in children}


def test_the_delay_lies_in_the_sidecar_and_nowhere_else(small: Mesh) -> None:
    fault_felt(small, "--delay-ms", str(DELAY_MS))
    hops = [hops_ms(small) for _ in range(3)]
    assert all(len(found) == 4 for found in hops)
    assert min(found["sidecar-a client"] for found in hops) >= DELAY_MS
    for hop in ("edge client", "sidecar-a server", "a server"):
        assert min(found[hop] for found in hops) < DELAY_MS
    fault_felt(small, "--clear")
    assert min(hops_ms(small)["sidecar-a client"] for _ in range(3)) < DELAY_MS


async def test_a_fault_put_in_and_taken_out_under_load_fails_no_call(small: Mesh) -> None:
    async with load(small.grpc, "/a/hello?name=x", clients=4) as calls:
        await asyncio.sleep(0.5)
        await asyncio.to_thread(fault, small, "--delay-ms", "2")
        faulted = len(calls.answers)
        await until_async(lambda: len(calls.answers) > faulted + 20)
        await asyncio.to_thread(fault, small, "--clear")
        cleared = len(calls.answers)
        await until_async(lambda: len(calls.answers) > cleared + 20)
    assert calls.failed == []


def test_status_and_events_show_a_fault_and_applying_the_file_again_leaves_it(small: Mesh) -> None:
    said = fault(small, "--delay-ms", "2.5", "--percent", "50", "--reason", "to see")
    assert "a-v1-1: 50 % of its calls take 2.5 ms more, since position" in said
    up(small)
    status = small.status()
    assert status["healthy"]
    assert status["faults"] == [{"workload": "a-v1-1", "delay_ms": 2.5, "percent": 50.0}]
    assert "a-v1-1 has a fault: 50 % of its calls take 2.5 ms more; meshlog fault a-v1-1 --clear" in " ".join(
        small.meshlog("status").stdout.split()
    )
    newest = small.events("--stream", "mesh")[-1]
    assert (newest["type"], newest["data"]) == ("FaultInjected", status["faults"][0])
    assert "nothing was appended" in fault(small, "--delay-ms", "2.5", "--percent", "50")
    assert json.loads(fault(small, "--clear", "--json"))["events"] == ["FaultCleared"]
    assert small.status()["faults"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "--delay-ms", "2"], "no workload is called 'a'; there are a-v1-1"),
        (["a-v1-1", "--delay-ms", "101"], "delay_ms is 101.0; it must be from 0.1 to 100.0"),
        (["a-v1-1", "--delay-ms", "2", "--percent", "0"], "percent is 0.0; it must be above 0"),
        (["a-v1-1", "--delay-ms", "two"], "'two' is not a valid float"),
        (["a-v1-1"], "say how long the delay is"),
        (["a-v1-1", "--clear", "--delay-ms", "2"], "--clear takes a fault out"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_in_one_sentence_and_appends_nothing(
    small: Mesh, arguments: list[str], said: str
) -> None:
    before = small.status()["position"]
    refused = small.meshlog("fault", *arguments, check=False)
    assert refused.returncode in (1, 2)
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert small.status()["position"] == before
