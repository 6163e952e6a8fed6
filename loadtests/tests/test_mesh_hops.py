"""The split held against a real mesh: a fault that is put into one hop must be found there, whole, and nowhere else."""

import asyncio
from collections.abc import Iterator

import pytest

from loadtests.hops import HOPS, Parts, left_out, split
from loadtests.intervals import interval
from loadtests.tests.traced import traced_calls
from loadtests.traces import traces_of
from mesh.tests.meshes import Mesh, a_mesh, until

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(300)]

FAULT_US = 2_000
WITHIN_US = FAULT_US * 0.05
CALLS = 120  # of a block
PAIRS_MIN, PAIRS_MAX = 8, 30  # of blocks, one with the fault and one without
FAST = 0.1  # of each hop the tenth that is slower than a tenth of all: what a busy machine adds, it adds to the others


@pytest.fixture(scope="module")
def own() -> Iterator[Mesh]:
    with a_mesh("hops") as mesh:
        mesh.up()
        yield mesh


def block(mesh: Mesh, path: str) -> list[Parts]:
    calls = asyncio.run(traced_calls(getattr(mesh, path), "/a/hello?name=pspd", CALLS))
    traces = traces_of(calls, f"http://127.0.0.1:{4318 + mesh.offset}", wait_seconds=10)
    parts = [found for call in calls if (found := split(call, traces.get(call.trace_id, ())))]
    assert len(parts) >= 0.9 * CALLS, left_out(calls, traces)
    return parts


def fast(parts: list[Parts], hop: str) -> float:
    return sorted(one[hop] for one in parts)[int(FAST * len(parts))]


def with_fault(mesh: Mesh, workload: str, wanted: bool) -> None:
    mesh.meshlog("fault", workload, *(("--delay-ms", str(FAULT_US / 1000)) if wanted else ("--clear",)))
    until(lambda: all(node["acknowledged"] == node["served"] for node in mesh.status()["nodes"]))


@pytest.mark.parametrize(("path", "workload"), [("grpc", "a-v1-1"), ("rest", "a-rest-v1-1")])
def test_a_fault_in_one_sidecar_is_found_in_that_hop_within_five_percent_and_nowhere_else(
    own: Mesh, path: str, workload: str
) -> None:
    blocks: dict[bool, list[list[Parts]]] = {True: [], False: []}
    widest = float("inf")
    while len(blocks[True]) < PAIRS_MIN or (widest > WITHIN_US / 2 and len(blocks[True]) < PAIRS_MAX):
        for wanted in (True, False) if len(blocks[True]) % 2 else (False, True):  # what drifts, drifts for both
            with_fault(own, workload, wanted)
            blocks[wanted].append(block(own, path))
        pairs = list(zip(blocks[True], blocks[False], strict=True))
        widest = max(interval([fast(a, hop) - fast(b, hop) for a, b in pairs]).half_width for hop in HOPS)
    faulted, clear = sum(blocks[True], []), sum(blocks[False], [])
    grew = {hop: fast(faulted, hop) - fast(clear, hop) for hop in HOPS}
    said = f"{path}: {len(pairs)} pairs, { ({hop: round(us) for hop, us in grew.items()}) } µs, ± {widest:.0f} at most"
    print(said)
    assert grew.pop("sidecar") == pytest.approx(FAULT_US, abs=WITHIN_US), said
    assert all(abs(us) < WITHIN_US for us in grew.values()), said
