"""The control plane: what is decided, checked, appended, told; over a log in memory and the real decisions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from mesh.commands import Command, ShiftTraffic
from mesh.control import plane as plane_module
from mesh.control.plane import ControlPlane
from mesh.control.replies import Executed, NodeStatus
from mesh.errors import (
    ConcurrentAppend,
    InvalidTopology,
    LogUnavailable,
    Refused,
    UnknownService,
    UnreadableEvent,
    WeightsDoNotSum,
)
from mesh.events import (
    MeshEvent,
    ServiceDeclared,
    SnapshotAccepted,
    SnapshotRejected,
    TrafficShifted,
    Workload,
    WorkloadJoined,
)
from mesh.log.memory import MemoryLog
from mesh.log.port import Commit, Log, Position, Produced
from mesh.tests.commits import call, commit
from mesh.topology import Topology, evolved

A: list[MeshEvent] = [
    ServiceDeclared("a", "http"),
    WorkloadJoined(Workload("a-v1-1", "a", "v1", "127.0.0.1:15100", "unix:app.sock")),
    WorkloadJoined(Workload("a-v2-1", "a", "v2", "127.0.0.1:15101", "unix:app.sock")),
]
SHIFT = ShiftTraffic("a", {"v1": 90, "v2": 10})
REJECTED = ("edge", 1, "type.googleapis.com/envoy.config.listener.v3.Listener", "no", "1")


def decide(topology: Topology, command: Command) -> list[MeshEvent]:
    """The shift alone, as mesh/decide.py has it: these tests are about what becomes of a decision."""
    assert isinstance(command, ShiftTraffic)
    service = topology.services.get(command.service)
    if service is None:
        raise UnknownService(command.service, known=sorted(topology.services))
    if sum(command.weights.values()) != 100:
        raise WeightsDoNotSum(command.service, command.weights)
    return [] if command.weights == service.weights else [TrafficShifted(command.service, command.weights)]


@dataclass
class World:
    """What a control plane is given. Everything can be looked at, and changed."""

    log: Log = field(default_factory=MemoryLog)
    now_us: int = 1_000
    ids: int = 0
    refusal: Refused | None = None
    checked: list[Position] = field(default_factory=list)

    def plane(self) -> ControlPlane:
        return ControlPlane(
            self.log, decide=decide, check=self.check, nodes=list, clock_us=lambda: self.now_us, new_id=self.new_id
        )

    def check(self, topology: Topology, position: Position) -> None:
        self.checked.append(position)
        if self.refusal:
            raise self.refusal

    def new_id(self) -> str:
        self.ids += 1
        return f"id-{self.ids}"

    async def started(self) -> ControlPlane:
        plane = self.plane()
        await plane.start()
        return plane


@pytest.fixture
async def world() -> World:
    world = World()
    await world.log.append("mesh", commit("given", *A))
    return world


@pytest.fixture
async def plane(world: World) -> AsyncIterator[ControlPlane]:
    plane = await world.started()
    yield plane
    await plane.stop()


async def shift(plane: ControlPlane, v1: int, command_id: str = "") -> Executed:
    command = ShiftTraffic("a", {"v1": v1, "v2": 100 - v1})
    return await plane.execute(command, actor="ana", reason="to see", command_id=command_id)


async def test_what_is_kept_is_folded_into_the_topology_at_the_start(plane: ControlPlane) -> None:
    assert plane.topology == evolved(A)
    assert plane.position == 1


async def test_a_command_becomes_one_commit_that_says_who_wished_it_and_why(plane: ControlPlane, world: World) -> None:
    assert await plane.execute(SHIFT, actor="ana", reason="a canary", command_id="k") == (2, ("TrafficShifted",))
    (entry,) = await world.log.read("mesh", after=1)
    assert entry.commit == Commit("id-1", "k", "ana", "a canary", 1_000, (TrafficShifted("a", {"v1": 90, "v2": 10}),))
    assert plane.topology.services["a"].shares() == {"v1": 90, "v2": 10}
    assert plane.position == 2


async def test_a_command_without_an_id_is_given_one(plane: ControlPlane, world: World) -> None:
    await shift(plane, 50)
    assert (await world.log.read("mesh"))[-1].commit.command_id == "id-1"


async def test_a_command_that_is_no_news_appends_nothing_and_answers_the_head(
    plane: ControlPlane, world: World
) -> None:
    await shift(plane, 90)
    assert await shift(plane, 90) == (2, ())
    assert await world.log.head("mesh") == 2


async def test_a_refused_command_appends_nothing(plane: ControlPlane, world: World) -> None:
    with pytest.raises(UnknownService, match="no service is called 'z'; there are a"):
        await plane.execute(ShiftTraffic("z", {"v1": 100}), actor="ana")
    assert await world.log.head("mesh") == 1


async def test_what_cannot_be_served_never_becomes_a_fact(plane: ControlPlane, world: World) -> None:
    world.refusal = InvalidTopology("the route table of edge would be empty")
    with pytest.raises(InvalidTopology):
        await shift(plane, 90)
    assert await world.log.head("mesh") == 1
    assert plane.topology == evolved(A)
    assert world.checked == [2]  # the position that the commit would have had
    world.refusal = None
    assert (await shift(plane, 90)).position == 2


async def test_a_command_that_is_no_news_is_not_checked(plane: ControlPlane, world: World) -> None:
    await shift(plane, 90)
    await shift(plane, 90)
    assert world.checked == [2]


async def test_after_somebody_elses_commit_the_command_is_decided_again(plane: ControlPlane, world: World) -> None:
    await world.log.append("mesh", commit("other", TrafficShifted("a", {"v1": 90, "v2": 10})))
    assert await shift(plane, 90) == (2, ())  # decided on what the other commit had made of the mesh
    await world.log.append("mesh", commit("other", TrafficShifted("a", {"v1": 1, "v2": 99})))
    assert await shift(plane, 70) == (4, ("TrafficShifted",))
    assert plane.position == 4


class Contended(MemoryLog):
    """Somebody else is always faster."""

    async def append(
        self, stream: str, commit: Commit, *, expect: Position | None = None, produced: Produced | None = None
    ) -> Position:
        if expect is not None:
            number = await self.head(stream)
            await super().append(
                stream, Commit("", "", "other", "", 0, (TrafficShifted("a", {"v1": number, "v2": 0}),))
            )
        return await super().append(stream, commit, expect=expect, produced=produced)


async def test_a_race_that_is_always_lost_ends_with_an_error_and_the_plane_goes_on() -> None:
    world = World(Contended())
    await world.log.append("mesh", commit("given", *A))
    plane = await world.started()
    with pytest.raises(ConcurrentAppend):
        await shift(plane, 50)
    assert await world.log.head("mesh") == 1 + plane_module.ATTEMPTS
    await plane.start()
    assert plane.position == await world.log.head("mesh")


async def test_commands_at_once_are_executed_one_after_the_other(plane: ControlPlane, world: World) -> None:
    positions = await asyncio.gather(*(shift(plane, percent) for percent in range(30)))
    assert [executed.position for executed in positions] == list(range(2, 32))
    assert plane.topology == evolved(
        event for entry in await world.log.read("mesh") for event in entry.commit.events if isinstance(event, MeshEvent)
    )


async def test_a_command_id_is_executed_once_and_answered_the_same(plane: ControlPlane, world: World) -> None:
    first = await shift(plane, 90, "k")
    await shift(plane, 50)
    assert await shift(plane, 90, "k") == first == (2, ("TrafficShifted",))
    assert plane.topology.services["a"].shares() == {"v1": 50, "v2": 50}
    assert await world.log.head("mesh") == 3


async def test_a_command_id_is_known_after_a_restart(plane: ControlPlane, world: World) -> None:
    first = await shift(plane, 90, "k")
    again = await world.started()
    assert await shift(again, 90, "k") == first
    assert await world.log.head("mesh") == 2


async def test_the_same_command_sent_twice_at_once_is_executed_once(plane: ControlPlane, world: World) -> None:
    assert len(set(await asyncio.gather(*(shift(plane, 90, "k") for _ in range(10))))) == 1
    assert await world.log.head("mesh") == 2


async def test_only_the_last_answers_are_remembered(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_module, "REMEMBERED", 5)
    for percent in range(20):
        await shift(plane, percent)
    assert len(plane._executed) == 5


async def test_observers_are_told_what_is_and_then_each_change(plane: ControlPlane) -> None:
    seen: list[tuple[Topology, Position]] = []
    plane.observe(lambda topology, position: seen.append((topology, position)))
    await shift(plane, 90)
    await shift(plane, 90)  # no news
    assert [position for _, position in seen] == [1, 2]
    assert seen[0][0] == evolved(A)
    assert seen[1][0] is plane.topology


async def test_an_observer_that_fails_harms_neither_the_command_nor_the_next_observer(plane: ControlPlane) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    seen: list[Position] = []
    plane.observe(lambda _, position: seen.append(1 // (2 - position)))
    plane.observe(lambda _, position: seen.append(position))
    assert (await shift(plane, 90)).position == 2
    assert seen == [1, 1, 2]
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


class Slow(MemoryLog):
    async def append(
        self, stream: str, commit: Commit, *, expect: Position | None = None, produced: Produced | None = None
    ) -> Position:
        await asyncio.sleep(0.02)
        return await super().append(stream, commit, expect=expect, produced=produced)


async def test_a_caller_who_leaves_does_not_leave_the_topology_behind_the_log() -> None:
    world = World(Slow())
    await world.log.append("mesh", commit("given", *A))
    plane = await world.started()
    leaving = asyncio.create_task(shift(plane, 90))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await plane.stop()
    assert plane.position == await world.log.head("mesh") == 2


async def test_a_log_that_keeps_nothing_changes_nothing(plane: ControlPlane, world: World) -> None:
    await world.log.close()
    with pytest.raises(LogUnavailable):
        await shift(plane, 90)
    assert plane.position == 1
    assert plane.topology == evolved(A)


async def test_a_stream_mesh_that_holds_something_else_is_unreadable(world: World) -> None:
    await world.log.append("mesh", commit("wrong", call("x")))
    with pytest.raises(UnreadableEvent, match="the stream mesh holds a CallAnswered"):
        await world.started()


async def test_what_a_node_answered_is_kept_in_its_stream_once(plane: ControlPlane, world: World) -> None:
    await asyncio.gather(*(plane.snapshot_accepted("edge", 1, "d1", "1") for _ in range(5)))
    await plane.snapshot_rejected(*REJECTED)
    await plane.snapshot_rejected(*REJECTED)
    await plane.snapshot_accepted("edge", 1, "d1", "1")  # news again: it had said no
    await plane.snapshot_accepted("sidecar-a-v1-1", 1, "d1", "1")
    accepted, rejected = SnapshotAccepted("edge", 1, "d1", "1"), SnapshotRejected(*REJECTED)
    assert await _answers(world, "nodes/edge") == [accepted, rejected, accepted]
    assert await _answers(world, "nodes/sidecar-a-v1-1") == [SnapshotAccepted("sidecar-a-v1-1", 1, "d1", "1")]


async def test_an_answer_that_was_the_last_before_a_restart_is_not_repeated(plane: ControlPlane, world: World) -> None:
    await plane.snapshot_accepted("edge", 1, "d1", "1")
    again = await world.started()
    await again.snapshot_accepted("edge", 1, "d1", "1")
    await again.snapshot_accepted("edge", 2, "d2", "1")
    assert await world.log.head("nodes/edge") == 2


async def test_an_answer_that_could_not_be_kept_is_kept_when_it_comes_again(world: World) -> None:
    class Full(MemoryLog):
        full = True

        async def append(
            self, stream: str, commit: Commit, *, expect: Position | None = None, produced: Produced | None = None
        ) -> Position:
            if self.full:
                raise LogUnavailable("full")
            return await super().append(stream, commit, expect=expect, produced=produced)

    world.log = log = Full()
    plane = await world.started()
    with pytest.raises(LogUnavailable):
        await plane.snapshot_accepted("edge", 1, "d1", "1")
    log.full = False
    await plane.snapshot_accepted("edge", 1, "d1", "1")
    assert await log.head("nodes/edge") == 1


async def test_the_status_is_the_head_and_what_the_nodes_are_at(world: World) -> None:
    edge = NodeStatus("edge", "edge", connected=True, served=1, acknowledged=1)
    plane = ControlPlane(
        world.log, decide=decide, check=world.check, nodes=lambda: [edge], clock_us=lambda: 0, new_id=world.new_id
    )
    await plane.start()
    assert (await plane.status()).position == 1
    assert (await plane.status()).nodes == (edge,)


async def _answers(world: World, stream: str) -> list[object]:
    return [event for entry in await world.log.read(stream) for event in entry.commit.events]
