"""Plays the agent for every node of a laptop's mesh: starts, watches, renews keys, and ends what the topology asks for.

Rules: what should run follows from the topology (watched through the control API) and the plan; what does run is found, not
remembered. A supervisor that is killed leaves everything serving, and the next one adopts it. Nothing here blocks a call.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from mesh.commands import ApplyTopology
from mesh.control.client import ControlClient
from mesh.control.watch import topologies
from mesh.errors import MeshError, SubstrateError
from mesh.substrates.laptop import probes
from mesh.substrates.laptop.nodes import Nodes
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.plan import read_plan
from mesh.substrates.laptop.processes import Spec, find, start
from mesh.substrates.laptop.runner import Runner, end
from mesh.substrates.laptop.specs import STAGES, control_plane, specs
from mesh.topology import Topology

_CONTROL_PLANE_SECONDS = 30.0  # to come up, on a busy machine
_STAGE_SECONDS = 15.0  # the edge waits so long for what it leads to
_RENEWAL_CHECKS_PER_LIFETIME = 20
_RENEWAL_CHECK_SECONDS = 2.0  # at most: a new topology may shorten the lifetime
_EDGE_DRAIN_SECONDS = 5.0


class Supervisor:
    def __init__(self, places: Places, envoy: Path) -> None:
        self.places = places
        self.envoy = envoy
        self.topology = Topology()
        self.position = 0
        self._runners: dict[str, Runner] = {}
        self._nodes = Nodes(places)
        self._changed = asyncio.Event()  # the topology has
        self._begun_at = time.time()

    async def run(self) -> None:
        """Until cancelled, or SIGTERM or SIGINT. Raises: SubstrateError, Refused (the plan cannot be applied); nothing is left running then."""
        with self._only_one():
            stop = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            try:
                async with asyncio.TaskGroup() as tasks:
                    running = tasks.create_task(self._run())
                    await stop.wait()
                    running.cancel()
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
            finally:
                await self._stop_all()

    async def _run(self) -> None:
        """Start the control plane, apply the plan, and keep what follows from the topology."""
        plan = read_plan(self.places.plan)
        left = {found.name: found for found in find(self.places.run) if found.name != "supervisor"}
        self._nodes.adopt(left)
        self._runners["control-plane"] = self._runner(control_plane(plan, self.places), left)
        if not await self._runners["control-plane"].until_ready(_CONTROL_PLANE_SECONDS):
            raise SubstrateError(f"the control plane does not start: {_last_line(self.places.log_of('control-plane'))}")
        async with ControlClient(self.places.control_address) as control:
            await control.execute(ApplyTopology(plan.declaration), actor=plan.actor, reason="meshlog up")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_topology())
            tasks.create_task(self._keep_processes())
            tasks.create_task(self._keep_certificates())
            tasks.create_task(self._nodes.keep_ads(self._runners["control-plane"]))

    async def _watch_topology(self) -> None:
        async for position, topology in topologies(self.places.control_address):
            self.position, self.topology = position, topology
            self._changed.set()

    async def _keep_processes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                wanted = specs(self.topology, read_plan(self.places.plan), self.places, self.envoy)
                self._nodes.prepare(self.topology)
            except MeshError as error:
                print(error, flush=True)  # noqa: T201 (its log)
                continue
            left = {found.name: found for found in find(self.places.run) if found.name != "supervisor"}
            await self._retire({*self._runners, *left} - {spec.name for spec in wanted}, left)
            await self._restart_changed(wanted)
            await self._begin_missing(wanted, left)

    async def _begin_missing(self, wanted: list[Spec], left: dict[str, Any]) -> None:
        """Start what is missing, the edge when all that it leads to is ready."""
        for stage in sorted(set(STAGES.values())):
            if stage == STAGES["edge"]:
                begun = [self._runners[spec.name] for spec in wanted if spec.name in self._runners]
                await asyncio.gather(*(runner.until_ready(_STAGE_SECONDS) for runner in begun))
            for spec in wanted:
                if STAGES[spec.kind] == stage and spec.name not in self._runners:
                    self._runners[spec.name] = self._runner(spec, left)
        self.publish()

    async def _restart_changed(self, wanted: list[Spec]) -> None:
        for spec in wanted:
            runner = self._runners.get(spec.name)
            if runner and runner.spec.digest != spec.digest:
                await runner.stop()
                del self._runners[spec.name]

    async def _retire(self, names: set[str], left: dict[str, Any]) -> None:
        """End what the topology no longer has. Its endpoints went first, with the snapshot, so no new call comes."""
        if not names:
            return
        await asyncio.sleep(0.5)  # the edge has acknowledged by then, and calls under way are being answered
        stopping = [self._runners.pop(name).stop() for name in sorted(names) if name in self._runners]
        strays = [end(left[name].process, 5.0) for name in sorted(names) if name in left and name not in self._runners]
        await asyncio.gather(*stopping, *strays)
        for name in names:
            shutil.rmtree(self.places.node(name), ignore_errors=True)

    async def _keep_certificates(self) -> None:
        while True:
            lifetime = self.topology.identity.certificate_lifetime_seconds
            await asyncio.sleep(min(_RENEWAL_CHECK_SECONDS, lifetime / _RENEWAL_CHECKS_PER_LIFETIME))
            try:
                self._nodes.renew(self.topology)
            except (OSError, MeshError) as error:
                print(f"certificates were not renewed: {error}", flush=True)  # noqa: T201

    def _runner(self, spec: Spec, left: dict[str, Any]) -> Runner:
        adopted = left.pop(spec.name, None)
        if adopted and adopted.spec != spec.digest:
            adopted.process.kill()  # it was started from another plan; its like is started at once
            adopted = None
        return Runner(spec, self._begin, self._is_ready, self.publish, adopted)

    def _begin(self, spec: Spec) -> psutil.Process:
        self._nodes.before_start(spec, self.topology)
        return start(spec, self.places.name, self.places.run)

    async def _is_ready(self, spec: Spec) -> bool:
        workload = self.topology.workloads().get(spec.name)
        speaks_grpc = bool(workload and self.topology.services[workload.service].protocol == "grpc")
        return await probes.is_ready(spec, self.places, speaks_grpc=speaks_grpc)

    def publish(self) -> None:
        """Write down what is known, for `meshlog status` and `meshlog up`."""
        processes = [
            {
                "name": runner.spec.name,
                "kind": runner.spec.kind,
                "pid": runner.process.pid if runner.process else None,
                "state": runner.state,
                "ports": list(runner.spec.ports),
                "restarts": runner.restarts,
                "problem": runner.problem,
            }
            for runner in self._runners.values()
        ]
        own = {"name": "supervisor", "kind": "supervisor", "pid": os.getpid(), "state": "ready", "ports": []}
        state = {
            "mesh": self.places.name,
            "position": self.position,
            "begun_at": self._begun_at,
            "processes": [{**own, "restarts": 0, "problem": ""}, *processes],
        }
        fresh = self.places.state_file.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self.places.state_file)

    async def _stop_all(self) -> None:
        """The other way round: no new calls, the calls under way, their record, and the control plane last."""
        stages: dict[int, list[Runner]] = {}
        for runner in self._runners.values():
            stages.setdefault(STAGES[runner.spec.kind], []).append(runner)
        for stage in sorted(stages, reverse=True):
            if stage == STAGES["edge"] and self.topology.edge:
                await _drain(self.topology.edge.admin_port)
            await asyncio.gather(*(runner.stop() for runner in stages[stage]))
        for found in find(self.places.run):
            if found.process.pid != os.getpid():
                await end(found.process, 1.0)
        shutil.rmtree(self.places.run, ignore_errors=True)

    @contextlib.contextmanager
    def _only_one(self) -> Any:
        """Hold the lock of this mesh. Raises: SubstrateError if another supervisor does."""
        with self.places.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SubstrateError(f"the mesh {self.places.name!r} has a supervisor already") from None
            yield


async def _drain(admin_port: int) -> None:
    """Let the edge take no new connection, and wait until the calls under way are answered, for a bounded time."""
    admin = ("127.0.0.1", admin_port)
    with contextlib.suppress(OSError, ValueError, TimeoutError):
        async with asyncio.timeout(_EDGE_DRAIN_SECONDS):
            await probes.http_status(admin, "/drain_listeners", "POST")
            while await _active_calls(admin):  # noqa: ASYNC110 (Envoy has no event to wait for)
                await asyncio.sleep(0.05)


async def _active_calls(admin: tuple[str, int]) -> int:
    _, body = await probes.http_exchange(admin, "/stats?filter=^http\\.(grpc|rest)\\.downstream_rq_active$")
    return sum(int(line.rpartition(b":")[2]) for line in body.splitlines() if line)


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        if lines:
            return lines[-1]
    return f"see {log}"
