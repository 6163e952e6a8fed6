"""The split held against a real mesh: it adds up, and a fault that is put into one hop is found there, whole, and nowhere else."""

import asyncio
from collections.abc import Iterator
from itertools import chain

import pytest

from loadtests.findings.breakdown import breakdown
from loadtests.findings.intervals import interval
from loadtests.hops.split import HOPS, Parts, hops_of, left_out, split
from loadtests.hops.traces import traces_of
from loadtests.model.cells import Cell
from loadtests.model.measurements import Measurement, RouteResult, TracedCall
from loadtests.tests.traced import traced_calls
from mesh.tests.load import load
from mesh.tests.meshes import Mesh, a_mesh, until_async
from observability.spans import Span

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(300)]

ROUTE = "/a/hello"
FAULT_US = 2_000
WITHIN_US = FAULT_US * 0.05
CALLS = 120  # of a block
# With the fault and without. Were calls made as fast as they are answered, a fault would give the processes of all the
# other hops 2 ms of rest between two calls, after which they run from cold caches.
EVERY_SECONDS = 0.01
PAIRS_MIN, PAIRS_MAX = 6, 12  # of blocks, one with the fault and one without
FAST = 0.1  # a hop is judged by the fastest tenth of its calls: a busy machine adds to the others, and to no call less


@pytest.fixture(scope="module")
def own() -> Iterator[Mesh]:
    with a_mesh("hops") as mesh:
        mesh.up()
        yield mesh


def traces(mesh: Mesh, calls: list[TracedCall]) -> dict[str, list[Span]]:
    return traces_of(calls, f"http://127.0.0.1:{4318 + mesh.offset}", wait_seconds=10)


@pytest.mark.parametrize("path", ["grpc", "rest"])
async def test_under_load_nearly_every_call_is_split_and_the_parts_add_up_to_the_mean_of_all_calls(
    own: Mesh, path: str
) -> None:
    clients = [traced_calls(getattr(own, path), f"{ROUTE}?name=pspd", 50) for _ in range(8)]
    calls = list(chain.from_iterable(await asyncio.gather(*clients)))
    came = await asyncio.to_thread(traces, own, calls)
    result = RouteResult(len(calls), sum(call.latency_us for call in calls), "")
    hops = tuple(hops_of(calls, came))
    run = Measurement(Cell(path, "a", 8), 1, calls[0].begun_ns // 1000, 1.0, 0.0, {ROUTE: result}, hops=hops)
    found = breakdown([run], ROUTE)
    assert found
    assert found.traces >= 0.95 * len(calls), left_out(calls, came)
    assert found.adds_up, str(found)
    assert all(found.parts_us[hop] > 0 for hop in HOPS)


@pytest.mark.parametrize(("path", "workload"), [("grpc", "a-v1-1"), ("rest", "a-rest-v1-1")])
def test_a_fault_of_2_ms_in_one_sidecar_is_found_in_that_hop_within_5_percent_and_nowhere_else(
    own: Mesh, path: str, workload: str
) -> None:
    faulted: list[list[Parts]] = []
    clear: list[list[Parts]] = []
    widest = float("inf")
    while len(clear) < PAIRS_MIN or (widest > WITHIN_US and len(clear) < PAIRS_MAX):
        for blocks in (faulted, clear) if len(clear) % 2 else (clear, faulted):  # what drifts, drifts for both
            asyncio.run(change(own, path, workload, faulty=blocks is faulted))
            blocks.append(block(own, path))
        widest = max(
            interval([fast(a, hop) - fast(b, hop) for a, b in zip(faulted, clear, strict=True)]).half_width
            for hop in HOPS
        )
    with_it, without = list(chain.from_iterable(faulted)), list(chain.from_iterable(clear))
    grew = {hop: fast(with_it, hop) - fast(without, hop) for hop in HOPS}
    said = f"{path}, {len(clear)} pairs of blocks, µs: " + ", ".join(f"{hop} {us:+.0f}" for hop, us in grew.items())
    print(said)
    assert grew.pop("sidecar") == pytest.approx(FAULT_US, abs=WITHIN_US), said
    assert all(abs(us) < WITHIN_US for us in grew.values()), said


async def change(mesh: Mesh, path: str, workload: str, faulty: bool) -> None:
    """Put the fault in or take it out, and let each connection between edge and sidecar have its last call as before."""
    wanted = ("--delay-ms", str(FAULT_US / 1000)) if faulty else ("--clear",)
    await asyncio.to_thread(mesh.meshlog, "fault", workload, *wanted)
    await until_async(lambda: mesh.status()["healthy"])
    async with load(getattr(mesh, path), ROUTE, clients=8) as calls:
        await until_async(lambda: len(calls.answers) >= 64)


def block(mesh: Mesh, path: str) -> list[Parts]:
    calls = asyncio.run(traced_calls(getattr(mesh, path), f"{ROUTE}?name=pspd", CALLS, EVERY_SECONDS))
    came = traces(mesh, calls)
    parts = [found for call in calls if (found := split(call, came.get(call.trace_id, ())))]
    assert len(parts) >= 0.9 * CALLS, left_out(calls, came)
    return parts


def fast(parts: list[Parts], hop: str) -> float:
    return sorted(one[hop] for one in parts)[int(FAST * len(parts))]
