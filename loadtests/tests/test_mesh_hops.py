"""The split held against a real mesh: it adds up, and a fault that is put into one hop is found there, whole, and nowhere else."""

import asyncio
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from loadtests.findings.accounts import accounts
from loadtests.findings.breakdown import breakdown
from loadtests.findings.intervals import interval
from loadtests.hops.split import HOPS, Parts, hops_of, left_out, split
from loadtests.hops.traces import traces_of
from loadtests.model import runs
from loadtests.model.cells import Cell
from loadtests.model.measurements import Hops, Measurement, RouteResult, TracedCall
from loadtests.model.plan import Plan
from loadtests.model.runs import Run
from loadtests.report import write_report
from loadtests.running import bench
from loadtests.tests.made_hops import rows_of_hops
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


class Unannounced:
    """A log that nobody tells of the run."""

    def begun(self, run: Run) -> None: ...

    def ended(self, run: Run, ending: bench.Ending) -> None: ...


def test_a_run_of_the_comparison_finds_a_fault_of_5_ms_where_it_is_and_says_so_in_its_report(
    own: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One user: calls that come together wait for each other's fault. All calls are traced: one alone is short."""
    monkeypatch.setenv("MESHLOG_HOME", str(own.home))
    wanted = bench.Wanted(own.name)
    plan = Plan("quick", (Cell("grpc", "a", 1), Cell("rest", "a", 1)), 4, 1.0, 0.5, sampled_percent=100.0)
    run = bench.new_run(plan, wanted, seed=1)

    def split_calls(sink: str, calls: list[TracedCall]) -> tuple[Hops, ...]:
        return tuple(hops_of(calls, traces_of(calls, sink)))

    asyncio.run(change(own, "grpc", "a-v1-1", faulty=True, delay_ms=5))
    try:
        bench.execute(run, tmp_path, wanted, announce=Unannounced(), split=split_calls, tell=lambda step: None)
    finally:
        asyncio.run(change(own, "grpc", "a-v1-1", faulty=False))

    (found,) = accounts(runs.read(tmp_path), bench.measured(tmp_path))
    said = "; ".join(map(str, found.paths.values()))
    assert all(path.adds_up for path in found.paths.values()), said
    assert found.difference
    grew = found.difference.parts
    assert max(grew, key=lambda part: grew[part].mean) == "sidecar", grew
    assert grew["sidecar"].low > 2_500, grew
    assert found.paths["rest"].parts_us["sidecar"] < 2_500

    markdown = write_report(tmp_path).with_suffix(".md").read_text()
    grpc, rest, beyond = rows_of_hops(markdown)["sidecar"]
    assert float(grpc) >= 5
    assert float(rest) < 2.5
    assert float(beyond.partition(" ")[0]) == pytest.approx(float(grpc) - float(rest), abs=0.002)
    assert re.search(r"Of the [\d.]+ ms that gRPC takes longer, [\d.]+ ms lie in the sidecar", markdown), markdown


async def change(mesh: Mesh, path: str, workload: str, faulty: bool, delay_ms: float = FAULT_US / 1000) -> None:
    """Put the fault in or take it out, and let each connection between edge and sidecar have its last call as before."""
    wanted = ("--delay-ms", str(delay_ms)) if faulty else ("--clear",)
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
