"""Plays the agent for every node of a laptop's mesh: starts, watches, renews keys, and ends what the topology asks for.

Rules: what should run follows from the topology (watched through the control API) and the plan in force. A supervisor that is
killed leaves everything serving, and the next one adopts it. Once a mesh runs, no trouble (a full disk, a log that cannot be
read, a plan that is refused) makes the supervisor end: it says what is wrong and tries again. Nothing here blocks a call.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from mesh.commands import ApplyTopology
from mesh.control.client import ControlClient
from mesh.control.watch import topologies
from mesh.errors import ControlPlaneUnavailable, MeshError, SubstrateError
from mesh.substrates.laptop import probes
from mesh.substrates.laptop.fleet import SUPERVISOR, Fleet
from mesh.substrates.laptop.nodes import Nodes
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.plan import Plan, discard, put_in_force, read_plan, take
from mesh.substrates.laptop.processes import Spec, find
from mesh.substrates.laptop.runner import last_line
from mesh.substrates.laptop.specs import control_plane, specs
from mesh.substrates.laptop.state import ProcessState, State, write_state
from mesh.topology import Topology

_CONTROL_PLANE_SECONDS = 30.0  # to come up, on a busy machine
_AGAIN_SECONDS = 1.0  # after trouble
_STEADY_SECONDS = 3.0  # without trouble, and the last one is over
_LOOK_SECONDS = 0.1  # for a new plan
_RENEWAL_CHECKS_PER_LIFETIME = 20
_RENEWAL_CHECK_SECONDS = 2.0  # at most: a new topology may shorten the lifetime
_TIDY_SECONDS = 2.0
_ACKNOWLEDGED_SECONDS = 5.0  # an Envoy that says no, or nothing, must not keep the others waiting


class Supervisor:
    def __init__(self, places: Places, envoy: Path) -> None:
        self.places = places
        self.envoy = envoy
        self.topology = Topology()
        self.position = 0
        self._nodes = Nodes(places)
        self._fleet = Fleet(places, self._nodes, self._is_ready, self.publish, self._acknowledged)
        self._plan: Plan | None = None  # in force
        self._applied_at = 0  # position at which the plan is in the log
        self._state = State(places.name)
        self._written = True
        self._troubles: dict[str, str] = {}  # of each work that goes on and on
        self._changed = asyncio.Event()  # the topology has, or the plan

    async def run(self) -> None:
        """Until SIGTERM, SIGINT or SIGHUP. Raises: MeshError (a mesh that was not there cannot begin); nothing is left running then."""
        with self._only_one():
            stop = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            running, told = asyncio.create_task(self._run()), asyncio.create_task(stop.wait())
            try:
                await asyncio.wait((running, told), return_when=asyncio.FIRST_COMPLETED)
                running.cancel()
                await asyncio.wait((running,))
                if not running.cancelled():
                    _raise_first(running.exception())
            finally:
                await self._fleet.stop()
                shutil.rmtree(self.places.run, ignore_errors=True)

    async def _run(self) -> None:
        """Adopt what is there; begin with the control plane and the plan, and keep what follows from the topology."""
        adopting = any(found.name != SUPERVISOR for found in find(self.places.run))
        asked = take(self.places.plan)
        with contextlib.suppress(SubstrateError):
            self._plan = read_plan(self.places.plan)
        if (any_plan := self._plan or asked) is None:
            raise SubstrateError("nothing was asked for; `meshlog up` does that")
        self._nodes.adopt()
        runner = await self._fleet.keep(control_plane(any_plan, self.places))
        if not adopting:
            if not await runner.until_ready(_CONTROL_PLANE_SECONDS):
                raise SubstrateError(f"the control plane does not start: {last_line(runner.spec.log)}")
            await self._apply(asked or any_plan)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._on_and_on("the mesh cannot be watched", self._watch_topology))
            tasks.create_task(self._on_and_on("the plan is not brought about", self._keep_processes))
            tasks.create_task(self._on_and_on("the new plan is not applied", self._take_up_plans))
            tasks.create_task(self._on_and_on("certificates are not renewed", self._keep_certificates))
            tasks.create_task(self._on_and_on("Envoys have no fallback", lambda: self._nodes.keep_ads(runner)))
            tasks.create_task(self._on_and_on("logs are not cut", self._tidy))

    async def _on_and_on(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do `work`, which does not end; after trouble, again."""
        while True:
            working = asyncio.create_task(work())
            try:
                await asyncio.wait((working,), timeout=_STEADY_SECONDS)
                if not working.done():
                    self._trouble(what, "")
                await working
            except (MeshError, OSError, psutil.Error, RuntimeError) as error:  # RuntimeError: gRPC's, for an address
                self._trouble(what, str(error) or type(error).__name__)
            finally:
                working.cancel()
                await asyncio.wait((working,))
            await asyncio.sleep(_AGAIN_SECONDS)

    def _trouble(self, what: str, said: str) -> None:
        if self._troubles.get(what, "") == said:
            return
        self._troubles[what] = said
        if said:
            with contextlib.suppress(OSError):  # the disk is full
                print(f"{what}: {said}", flush=True)  # noqa: T201 (its log)
        self._note(problem="; ".join(f"{what}: {said}" for what, said in self._troubles.items() if said))

    async def _watch_topology(self) -> None:
        async for position, topology in topologies(self.places.control_address):
            self.position, self.topology = position, topology
            self._changed.set()

    async def _take_up_plans(self) -> None:
        """Apply what `up` stages. A plan that is refused changes nothing."""
        while True:
            if plan := take(self.places.plan):
                try:
                    await self._apply(plan)
                except ControlPlaneUnavailable:
                    raise  # asked again: a plan that was applied already appends nothing
                except MeshError as error:
                    discard(self.places.plan)
                    self._note(refused=plan.id, refusal=str(error))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _apply(self, plan: Plan) -> None:
        """Raises: MeshError."""
        async with ControlClient(self.places.control_address) as control:
            applied = await control.execute(ApplyTopology(plan.declaration), actor=plan.actor, reason="meshlog up")
        put_in_force(self.places.plan)
        self._plan, self._applied_at = plan, applied.position
        self._changed.set()

    async def _keep_processes(self) -> None:
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            plan, position = self._plan, self.position
            if plan is None or position < max(self._applied_at, 1):
                continue  # the topology that the plan asks for comes in a moment
            wanted = specs(self.topology, plan, self.places, self.envoy)
            self._nodes.renew(self.topology)
            await self._fleet.bring_about(wanted)
            self._note(plan=plan.id)

    async def _keep_certificates(self) -> None:
        while True:
            lifetime = self.topology.identity.certificate_lifetime_seconds
            await asyncio.sleep(min(_RENEWAL_CHECK_SECONDS, lifetime / _RENEWAL_CHECKS_PER_LIFETIME))
            if self.position:
                self._nodes.renew(self.topology)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            self._fleet.cut_logs()
            if not self._written:
                self.publish()

    async def _is_ready(self, spec: Spec) -> bool:
        workload = self.topology.workloads().get(spec.name)
        speaks_grpc = bool(workload and self.topology.services[workload.service].protocol == "grpc")
        return await probes.is_ready(spec, self.places, speaks_grpc=speaks_grpc)

    async def _acknowledged(self) -> None:
        """Returns when every Envoy that is connected runs the newest topology, at the latest after some seconds."""
        with contextlib.suppress(MeshError, TimeoutError):
            async with ControlClient(self.places.control_address) as control, asyncio.timeout(_ACKNOWLEDGED_SECONDS):
                while any(  # noqa: ASYNC110 (the control API has no event for it)
                    n.acknowledged < self.position for n in (await control.status()).nodes if n.connected
                ):
                    await asyncio.sleep(_LOOK_SECONDS)

    def _note(self, **changed: str) -> None:
        self._state = replace(self._state, **changed)  # type: ignore[arg-type]
        self.publish()

    def publish(self) -> None:
        """Write down what is known; if there is no room for it, later."""
        own = ProcessState(SUPERVISOR, SUPERVISOR, os.getpid(), "ready")
        known = replace(self._state, position=self.position, processes=(own, *self._fleet.states()))
        self._written = write_state(known, self.places.state_file)

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        """Hold the lock of this mesh. Raises: SubstrateError if another supervisor does."""
        with self.places.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SubstrateError(f"the mesh {self.places.name!r} has a supervisor already") from None
            yield


def _raise_first(error: BaseException | None) -> None:
    """Raise the first error of a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error:
        raise error
