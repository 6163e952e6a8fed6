"""The control API over a real socket: what the client asks, the control plane does, and its errors arrive as they are."""

import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh import errors
from mesh.commands import Command, ShiftTraffic
from mesh.control import server as server_module
from mesh.control.client import ControlClient
from mesh.control.plane import ControlPlane
from mesh.control.replies import FaultInForce, MeshStatus, NodeStatus
from mesh.control.server import ControlServer
from mesh.control.stubs import control_pb2, control_pb2_grpc
from mesh.control.wire import REQUEST_BYTES_MAX, error_named, status_of
from mesh.errors import (
    ConcurrentAppend,
    ControlPlaneUnavailable,
    InvalidTopology,
    LogUnavailable,
    MeshError,
    Refused,
    SubstrateError,
    UnknownService,
    UnknownVersion,
    UnknownWorkload,
    UnreadableEvent,
    UnreadableFile,
    WeightsDoNotSum,
)
from mesh.events import BenchmarkBegun, BenchmarkEnded, FaultInjected, MeshEvent, TrafficShifted
from mesh.log.memory import MemoryLog
from mesh.log.port import Entry, Produced
from mesh.log.sqlite import SqliteLog
from mesh.tests.commits import call, commit
from mesh.topology import Topology

SHIFT = ShiftTraffic("a", {"v1": 100})
BEGUN = BenchmarkBegun("r1", "quick", 1, 7, "abc123", "0.1.0", {"cpu": "2 cores"}, {"users": "25"}, 8, 10)
ENDED = BenchmarkEnded("r1", "finished", 2, 80, 1, ("REST is faster for A",), "runs/r1")
EDGE = NodeStatus("edge", "edge", connected=True, served=3, acknowledged=2, rejected="no filter 'x'")


class Mesh:
    """A control plane that serves on a socket. `decide` may be changed while it does."""

    def __init__(self, log: Any, address: str) -> None:
        self.log = log
        self.address = address
        self.decide: Callable[[Command], list[MeshEvent]] = lambda _: [TrafficShifted("a", {"v1": 100})]
        self.plane = ControlPlane(
            log,
            decide=lambda _topology, command: self.decide(command),
            check=lambda _topology, _position: None,
            nodes=lambda: [EDGE],
            clock_us=lambda: 1_000,
            new_id=lambda: "id",
        )
        self.server = ControlServer(self.plane, address)


@pytest.fixture
def run_dir() -> Any:
    directory = tempfile.mkdtemp(prefix="meshlog-")  # tmp_path is too long for a socket
    yield Path(directory)
    shutil.rmtree(directory)


@pytest.fixture
async def mesh(run_dir: Path) -> AsyncIterator[Mesh]:
    mesh = Mesh(await SqliteLog.open(run_dir / "log"), f"unix:{run_dir}/control.sock")
    await mesh.server.start()
    yield mesh
    await mesh.server.stop()
    await mesh.plane.stop()
    await mesh.log.close()


@pytest.fixture
async def client(mesh: Mesh) -> AsyncIterator[ControlClient]:
    async with ControlClient(mesh.address) as client:
        yield client


async def test_a_command_is_executed_and_answered_with_what_it_led_to(mesh: Mesh, client: ControlClient) -> None:
    asked: list[Command] = []

    def decided(command: Command) -> list[MeshEvent]:
        asked.append(command)
        return [TrafficShifted("a", {"v1": 100})]

    mesh.decide = decided
    executed = await client.execute(SHIFT, actor="ana", reason="to see", command_id="k")
    assert (executed.position, executed.events) == (1, ("TrafficShifted",))
    assert asked == [SHIFT]
    (entry,) = await mesh.log.read("mesh")
    assert (entry.commit.actor, entry.commit.reason, entry.commit.command_id) == ("ana", "to see", "k")


async def test_a_command_sent_again_with_its_id_is_not_executed_again(client: ControlClient) -> None:
    assert await client.execute(SHIFT, actor="ana", command_id="k") == await client.execute(
        SHIFT, actor="ana", command_id="k"
    )


async def test_words_that_are_no_unicode_do_not_stop_a_command(mesh: Mesh, client: ControlClient) -> None:
    await client.execute(SHIFT, actor="ana\udcff", reason="p\udce9")
    assert (await mesh.log.read("mesh"))[0].commit.actor == "ana?"


RAISED: list[tuple[MeshError, grpc.StatusCode]] = [
    (UnknownService("z", ["a"]), grpc.StatusCode.FAILED_PRECONDITION),
    (UnknownVersion("a", "v9", ["v1"]), grpc.StatusCode.FAILED_PRECONDITION),
    (UnknownWorkload("z-v1-1", ["a-v1-1"]), grpc.StatusCode.FAILED_PRECONDITION),
    (WeightsDoNotSum("a", {"v1": 90}), grpc.StatusCode.FAILED_PRECONDITION),
    (InvalidTopology("two workloads share 127.0.0.1:15100 — não pode"), grpc.StatusCode.FAILED_PRECONDITION),
    (Refused("no"), grpc.StatusCode.FAILED_PRECONDITION),
    (ConcurrentAppend("mesh", 1, 2), grpc.StatusCode.ABORTED),
    (LogUnavailable("mesh.db: is the disk full?"), grpc.StatusCode.UNAVAILABLE),
    (UnreadableEvent("position 3 of mesh is damaged"), grpc.StatusCode.DATA_LOSS),
    (UnreadableFile("topology.toml, line 3"), grpc.StatusCode.INTERNAL),
    (ControlPlaneUnavailable("nobody there"), grpc.StatusCode.INTERNAL),
    (SubstrateError("no Envoy"), grpc.StatusCode.INTERNAL),
    (MeshError("something"), grpc.StatusCode.INTERNAL),
]


@pytest.mark.parametrize(("raised", "status"), RAISED, ids=lambda value: type(value).__name__)
async def test_an_error_arrives_as_the_class_and_the_sentence_it_was_raised_with(
    mesh: Mesh, client: ControlClient, raised: MeshError, status: grpc.StatusCode
) -> None:
    def refuse(_: Command) -> list[MeshEvent]:
        raise raised

    mesh.decide = refuse
    with pytest.raises(MeshError) as caught:
        await client.execute(SHIFT, actor="ana")
    assert type(caught.value) is type(raised)
    assert str(caught.value) == str(raised)
    assert status_of(raised) == status


def test_every_error_of_the_mesh_stands_in_the_table_above() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MeshError)}
    assert kinds == {type(raised) for raised, _ in RAISED}


def test_a_class_that_this_meshlog_does_not_know_is_no_class() -> None:
    assert error_named("TooManyCooks", "they spoil it") is None


async def test_a_sentence_that_is_too_long_for_a_header_is_cut(mesh: Mesh, client: ControlClient) -> None:
    def refuse(_: Command) -> list[MeshEvent]:
        raise InvalidTopology("é" * 50_000)

    mesh.decide = refuse
    with pytest.raises(InvalidTopology, match=r"^é+…$"):
        await client.execute(SHIFT, actor="ana")


async def test_a_mistake_in_the_control_plane_is_said_and_does_not_hang(mesh: Mesh, client: ControlClient) -> None:
    mesh.decide = lambda _: [1 // 0]  # type: ignore[list-item]
    with pytest.raises(ControlPlaneUnavailable, match=r"failed .*ZeroDivisionError"):
        await client.execute(SHIFT, actor="ana")


async def test_a_producer_appends_and_asks_how_far_it_got(mesh: Mesh, client: ControlClient) -> None:
    kept = commit("c", call("x"))
    positions = [await client.append("calls/edge", kept, produced=Produced("spool", offset)) for offset in (5, 5, 9)]
    assert positions == [1, 1, 2]
    assert await client.produced("calls/edge", "spool") == 9
    assert await client.produced("calls/edge", "another") == 0
    assert [entry.commit for entry in await mesh.log.read("calls/edge")] == [kept, kept]


@pytest.mark.parametrize(
    "stream", ["mesh", "nodes/edge", "calls", "calls/", "calls/a/b", "calls/../mesh", "", "calls/é", "runs/", "runs/a"]
)
async def test_nothing_but_journals_and_runs_can_be_appended_to(mesh: Mesh, client: ControlClient, stream: str) -> None:
    with pytest.raises(UnreadableEvent, match="only the streams calls/<edge> and runs take appends"):
        await client.append(stream, commit("c", call("x")))
    assert await mesh.log.names("") == []


async def test_events_that_are_no_calls_do_not_enter_the_journal(client: ControlClient) -> None:
    with pytest.raises(UnreadableEvent, match="TrafficShifted does not belong into calls/edge"):
        await client.append("calls/edge", commit("c", TrafficShifted("a", {"v1": 100})))


async def test_runs_take_what_a_benchmark_says_and_nothing_else_does(mesh: Mesh, client: ControlClient) -> None:
    begun, ended = commit("b", BEGUN), commit("e", ENDED)
    assert [await client.append("runs", said) for said in (begun, ended)] == [1, 2]
    assert [entry.commit async for entry in client.read("runs")] == [begun, ended]
    for event in (call("x"), TrafficShifted("a", {"v1": 100})):
        with pytest.raises(UnreadableEvent, match=f"{type(event).__name__} does not belong into runs"):
            await client.append("runs", commit("c", event))
    with pytest.raises(UnreadableEvent, match="BenchmarkBegun does not belong into calls/edge"):
        await client.append("calls/edge", begun)


async def test_a_run_that_is_told_twice_by_its_producer_is_kept_once(client: ControlClient) -> None:
    told = [await client.append("runs", commit("b", BEGUN), produced=Produced("r1", 1)) for _ in range(2)]
    assert told == [1, 1]


@pytest.mark.parametrize("request_name", ["Execute", "Append"])
async def test_a_request_that_cannot_be_read_is_its_senders_fault(mesh: Mesh, request_name: str) -> None:
    requests = {
        "Execute": control_pb2.ExecuteRequest(command=b"\xc1"),
        "Append": control_pb2.AppendRequest(stream="calls/edge", commit=b"\xc1"),
    }
    async with grpc.aio.insecure_channel(mesh.address) as channel:
        stub: Any = control_pb2_grpc.ControlStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(stub, request_name)(requests[request_name])
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_over_the_limit_is_refused_and_the_next_one_works(client: ControlClient) -> None:
    with pytest.raises(ControlPlaneUnavailable, match="RESOURCE_EXHAUSTED"):
        await client.append("calls/edge", commit("x" * REQUEST_BYTES_MAX, call("x")))
    assert await client.append("calls/edge", commit("c", call("x"))) == 1


async def test_what_is_kept_is_read_page_by_page_in_order_of_stream_and_position(
    mesh: Mesh, client: ControlClient
) -> None:
    for stream in ("mesh", "calls/edge", "calls/b"):
        await asyncio.gather(
            *(mesh.log.append(stream, commit(f"{stream} {number}", call("x"))) for number in range(150))
        )
    read = [entry async for entry in client.read("calls/", after=20)]
    assert read == await mesh.log.read("calls/", after=20)
    assert len([entry async for entry in client.read()]) == 450
    assert [entry async for entry in client.read("calls/", after=20, limit=200)] == read[:200]
    assert [entry async for entry in client.read("nodes/")] == []


async def test_damage_in_the_log_is_told_to_who_reads_it(mesh: Mesh, client: ControlClient) -> None:
    await mesh.log.append("mesh", commit("c"))
    mesh.log._mesh.file._writer.execute("UPDATE commits SET checksum = 0")
    with pytest.raises(UnreadableEvent, match=r"position 1 of mesh in .* is damaged"):
        [entry async for entry in client.read("mesh")]


async def test_who_watches_gets_what_is_kept_and_each_commit_as_it_comes(mesh: Mesh, client: ControlClient) -> None:
    await mesh.log.append("calls/edge", commit("before", call("x")))
    entries = client.watch("")
    assert (await anext(entries)).commit.id == "before"
    waiting = asyncio.create_task(_next(entries))
    await asyncio.sleep(0.05)
    await client.execute(SHIFT, actor="ana")
    assert (await asyncio.wait_for(waiting, 1)).stream == "mesh"
    await entries.aclose()


async def test_who_leaves_a_watch_leaves_nothing_behind(mesh: Mesh, client: ControlClient) -> None:
    await mesh.log.append("mesh", commit("c"))
    for leave in ("close", "cancel"):
        entries = client.watch("mesh")
        await anext(entries)
        waiting = asyncio.create_task(_next(entries))
        await asyncio.sleep(0.05)
        assert len(mesh.log._mesh.followers) == 1, leave
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await entries.aclose()
        await _until(lambda: not mesh.log._mesh.followers)


async def test_a_watcher_that_is_killed_leaves_nothing_behind(mesh: Mesh) -> None:
    program = """
        import asyncio, sys
        from mesh.control.client import ControlClient
        async def main():
            async for entry in ControlClient(sys.argv[1]).watch("mesh"):
                print(entry.position, flush=True)
        asyncio.run(main())
    """
    await mesh.log.append("mesh", commit("c"))
    watcher = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(program), mesh.address), stdout=subprocess.PIPE
    )
    assert watcher.stdout is not None
    assert await watcher.stdout.readline() == b"1\n"
    assert len(mesh.log._mesh.followers) == 1
    watcher.send_signal(signal.SIGKILL)
    await watcher.wait()
    await _until(lambda: not mesh.log._mesh.followers)


async def test_a_control_plane_that_ends_ends_the_watches_at_once(run_dir: Path) -> None:
    mesh = Mesh(MemoryLog(), f"unix:{run_dir}/control.sock")
    await mesh.server.start()
    async with ControlClient(mesh.address) as client:
        waiting = asyncio.create_task(_next(client.watch("mesh")))
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        await mesh.server.stop()
        assert time.monotonic() - begun < 1
        with pytest.raises(ControlPlaneUnavailable, match="the control plane is ending"):
            await waiting
        assert not mesh.log._followers


async def test_the_status_says_where_the_mesh_and_its_nodes_are(client: ControlClient) -> None:
    await client.execute(SHIFT, actor="ana")
    assert await client.status() == MeshStatus(1, (EDGE,), ())


async def test_the_status_names_the_faults_in_force(mesh: Mesh, client: ControlClient) -> None:
    mesh.decide = lambda _: [FaultInjected("a-v1-1", 2.5, 50.0)]
    await client.execute(SHIFT, actor="ana")
    assert (await client.status()).faults == (FaultInForce("a-v1-1", 2.5, 50.0),)


async def test_where_nobody_answers_the_sentence_says_where_and_what_to_look_at(run_dir: Path) -> None:
    async with ControlClient(f"unix:{run_dir}/control.sock") as client:
        for asked in (client.status(), client.execute(SHIFT, actor="ana"), _next(client.watch(""))):
            with pytest.raises(ControlPlaneUnavailable, match=r"no control plane answers at unix:.*; is the mesh up\?"):
                await asked


async def test_a_client_made_before_the_control_plane_finds_it_when_it_is_there(run_dir: Path) -> None:
    mesh = Mesh(MemoryLog(), f"unix:{run_dir}/control.sock")
    async with ControlClient(mesh.address) as client:
        with pytest.raises(ControlPlaneUnavailable):
            await client.status()
        await mesh.server.start()
        await asyncio.sleep(0.3)  # more than the first back-off
        assert (await client.status()).position == 0
        await mesh.server.stop()


async def test_a_control_plane_that_does_not_answer_is_not_waited_for_without_end(mesh: Mesh) -> None:
    async with mesh.plane._turn, ControlClient(mesh.address, timeout_seconds=0.2) as client:
        with pytest.raises(ControlPlaneUnavailable, match=r"did not answer within 0\.2 s; .* may still happen"):
            await client.execute(SHIFT, actor="ana")


async def test_the_control_plane_sets_an_end_of_its_own(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "UNARY_SECONDS", 0.1)
    async with mesh.plane._turn, ControlClient(mesh.address, timeout_seconds=20) as client:
        with pytest.raises(ControlPlaneUnavailable):
            await asyncio.wait_for(client.execute(SHIFT, actor="ana"), 2)


async def test_a_socket_path_that_is_too_long_is_said_before_anything_starts(tmp_path: Path) -> None:
    mesh = Mesh(MemoryLog(), f"unix:{tmp_path}/{'x' * 120}.sock")
    with pytest.raises(SubstrateError, match=r"too long for a socket \(107 bytes\); choose a shorter directory"):
        await mesh.server.start()


async def test_an_address_that_cannot_be_listened_on_is_said(run_dir: Path) -> None:
    mesh = Mesh(MemoryLog(), f"unix:{run_dir}/missing/control.sock")
    with pytest.raises(SubstrateError, match="the control API cannot listen on unix:"):
        await mesh.server.start()


async def test_nothing_of_the_socket_is_left_after_the_end(run_dir: Path) -> None:
    mesh = Mesh(MemoryLog(), f"unix:{run_dir}/control.sock")
    await mesh.server.start()
    assert (run_dir / "control.sock").exists()
    await mesh.server.stop()
    assert not (run_dir / "control.sock").exists()


async def test_a_topology_is_only_what_commands_made_of_it(mesh: Mesh, client: ControlClient) -> None:
    assert mesh.plane.topology == Topology()
    await client.execute(SHIFT, actor="ana")
    assert mesh.plane.topology.services["a"].weights == {"v1": 100}
    assert [entry async for entry in client.read("mesh")] == await mesh.log.read("mesh")


async def _next(entries: AsyncIterator[Entry]) -> Entry:
    return await anext(entries)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not holds():
            await asyncio.sleep(0.01)
