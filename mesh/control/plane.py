"""The control plane: decides commands against the mesh as it is, appends what follows, and tells who must know.

    execute: decide ─▶ check ─▶ append at the position decided against ─▶ evolve ─▶ observers
                 ▲                        │
                 └── catch up ◀── ConcurrentAppend

Rules:
- the topology is what the stream `mesh` says, no more and no less: it changes only by events that are kept;
- commands are executed one after the other; one that has begun is finished even if its caller has gone;
- what `check` refuses is never appended, so that a configuration that cannot be served never becomes a fact;
- a command id is executed once: asked again, the plane gives the answer it gave (the last REMEMBERED of them);
- time and ids are inputs.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable

from mesh.commands import Command
from mesh.control.node_answers import NodeAnswers
from mesh.control.replies import CallBooks, Executed, FaultInForce, MeshStatus, NodeStatus
from mesh.errors import ConcurrentAppend, UnreadableEvent
from mesh.events import CallAnswered, CallsLost, MeshEvent, SnapshotAccepted, SnapshotRejected
from mesh.log.port import CALLS, MESH, START, Commit, Entry, Log, Position
from mesh.topology import Topology, evolved

REMEMBERED = 1_000  # answers by command id
ATTEMPTS = 5  # to decide again after somebody else's commit
PAGE = 256  # commits read at a time while catching up

Decide = Callable[[Topology, Command], list[MeshEvent]]
Check = Callable[[Topology, Position], None]
Observer = Callable[[Topology, Position], None]
Nodes = Callable[[], Iterable[NodeStatus]]


class ControlPlane:
    def __init__(
        self,
        log: Log,
        *,
        decide: Decide,
        check: Check,
        nodes: Nodes,
        clock_us: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        """The log stays its owner's to close. `check` raises Refused if the topology cannot be served at that position."""
        self.log = log
        self.topology = Topology()
        self.position: Position = START
        self._decide = decide
        self._check = check
        self._nodes = nodes
        self._clock_us = clock_us
        self._new_id = new_id
        self._answers = NodeAnswers(log, clock_us, new_id)
        self._executed: OrderedDict[str, Executed] = OrderedDict()
        self._observers: list[Observer] = []
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[Executed]] = set()

    async def start(self) -> None:
        """Fold what is kept. Raises: LogUnavailable, UnreadableEvent."""
        async with self._turn:
            await self._catch_up()

    def observe(self, observer: Observer) -> None:
        """Call `observer` with the topology as it is, and again whenever it has changed."""
        self._observers.append(observer)
        observer(self.topology, self.position)

    async def execute(self, command: Command, *, actor: str, reason: str = "", command_id: str = "") -> Executed:
        """Raises: Refused, LogUnavailable (nothing was appended), ConcurrentAppend (again and again)."""
        task = asyncio.create_task(self._execute(command, actor, reason, command_id or self._new_id()))
        self._running.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)  # a caller who leaves must not leave the topology behind the log

    async def snapshot_accepted(self, node: str, position: Position, digest: str, builders: str) -> None:
        """Record that a node runs what it was sent. Raises: LogUnavailable."""
        await self._answers.record(SnapshotAccepted(node, position, digest, builders))

    async def snapshot_rejected(self, node: str, position: Position, type_url: str, reason: str, builders: str) -> None:
        """Record that a node keeps what it had, and why. Raises: LogUnavailable."""
        await self._answers.record(SnapshotRejected(node, position, type_url, reason, builders))

    async def status(self) -> MeshStatus:
        """Raises: LogUnavailable."""
        tallies = {stream: await self.log.tally(stream) for stream in await self.log.names(CALLS)}
        books = (
            CallBooks(stream.removeprefix(CALLS), tally.get(CallAnswered.__name__, 0), tally.get(CallsLost.__name__, 0))
            for stream, tally in tallies.items()
        )
        faults = (FaultInForce(id_, said.delay_ms, said.percent) for id_, said in self.topology.faults.items())
        return MeshStatus(self.position, tuple(self._nodes()), tuple(books), tuple(faults))

    async def stop(self) -> None:
        """Finish the commands that have begun."""
        await asyncio.gather(*self._running, return_exceptions=True)  # their callers were told

    async def _execute(self, command: Command, actor: str, reason: str, command_id: str) -> Executed:
        async with self._turn:
            for attempt in range(ATTEMPTS):
                try:
                    return await self._attempt(command, actor, reason, command_id)
                except ConcurrentAppend:
                    await self._catch_up()
                    if attempt == ATTEMPTS - 1:
                        raise
            raise AssertionError("unreachable")

    async def _attempt(self, command: Command, actor: str, reason: str, command_id: str) -> Executed:
        if command_id in self._executed:
            return self._executed[command_id]
        events = tuple(self._decide(self.topology, command))
        if not events:
            return self._remember(command_id, Executed(self.position, ()))
        self._check(evolved(events, self.topology), self.position + 1)
        commit = Commit(self._new_id(), command_id, actor, reason, self._clock_us(), events)
        position = await self.log.append(MESH, commit, expect=self.position)
        executed = self._fold(Entry(MESH, position, commit))
        self._tell()
        return executed

    async def _catch_up(self) -> None:
        before = self.position
        while entries := await self.log.read(MESH, self.position, PAGE):
            for entry in entries:
                self._fold(entry)
        if self.position != before:
            self._tell()

    def _fold(self, entry: Entry) -> Executed:
        self.topology = evolved(map(_of_mesh, entry.commit.events), self.topology)
        self.position = entry.position
        names = tuple(type(event).__name__ for event in entry.commit.events)
        return self._remember(entry.commit.command_id, Executed(entry.position, names))

    def _remember(self, command_id: str, executed: Executed) -> Executed:
        self._executed[command_id] = executed
        if len(self._executed) > REMEMBERED:
            self._executed.popitem(last=False)
        return executed

    def _tell(self) -> None:
        for observer in self._observers:
            try:
                observer(self.topology, self.position)
            except Exception as error:
                # the commit is a fact: neither its caller nor another observer pays for this one
                context = {"message": f"{observer!r} failed at position {self.position}", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)


def _of_mesh(event: object) -> MeshEvent:
    if not isinstance(event, MeshEvent):
        raise UnreadableEvent(f"the stream {MESH} holds a {type(event).__name__}, which says nothing of the mesh")
    return event
