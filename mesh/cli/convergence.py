"""Waiting for a mesh to be healthy: every process ready, every node running the newest position. Shows progress."""

import asyncio
import time

import click
import psutil

from mesh.cli.status import asked, supervisor_state
from mesh.control.replies import MeshStatus
from mesh.errors import SubstrateError
from mesh.substrates.laptop.ending import how_ended
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.plan import Plan
from mesh.substrates.laptop.runner import last_line
from mesh.substrates.laptop.state import ProcessState, State
from mesh.xds.sidecar import sidecar_id

_SECONDS = 60.0
_POLL_SECONDS = 0.05
_RESTARTS = 4  # a process that died so often without getting ready will not get ready
_PATIENCE_SECONDS = 5.0  # with trouble that does not go away


class MeshFailed(SubstrateError):
    """The mesh did not get healthy."""


async def watch_start(mesh: Places, plan: Plan, supervisor: psutil.Process, *, quiet: bool) -> float:
    """Return when `plan` is brought about and all is healthy; the seconds it took. Raises: MeshFailed."""
    begun = time.monotonic()
    wanted = _wanted(plan)
    before = supervisor_state(mesh)
    said = {process.name for process in before.processes if process.state == "ready"}
    tried = {process.name: process.restarts for process in before.processes}  # before we came
    well_at = begun  # when there was no trouble
    while (now := time.monotonic()) - begun < _SECONDS:
        state = supervisor_state(mesh)
        ready = {process.name for process in state.processes if process.state == "ready"}
        for name in sorted(ready - said) if not quiet else ():
            click.echo(f"  {now - begun:5.1f} s  {name} is ready", err=True)
        said |= ready
        if state.refused == plan.id:
            raise MeshFailed(state.refusal)
        trouble = state.problem
        if state.plan == plan.id and wanted <= ready:
            status = await asked(mesh)
            if status and all(node.connected and node.acknowledged == status.position for node in status.nodes):
                return now - begun
            trouble = trouble or _rejection(status)
        well_at = well_at if trouble else now
        if now - well_at > _PATIENCE_SECONDS:
            raise MeshFailed(trouble)
        for process in state.processes:
            tried[process.name] = min(process.restarts, tried.get(process.name, 0))
        if hopeless := {
            p.name for p in state.processes if p.restarts - tried[p.name] >= _RESTARTS and p.state != "ready"
        }:
            raise MeshFailed(_what_is_missing(mesh, state, hopeless))
        if how_ended(supervisor):
            raise MeshFailed(_last_words(mesh))
        await asyncio.sleep(_POLL_SECONDS)
    raise MeshFailed(_what_is_missing(mesh, supervisor_state(mesh), wanted))


def _wanted(plan: Plan) -> set[str]:
    """The names of all processes that the plan asks for."""
    declared = plan.declaration
    wanted = {"control-plane", declared.edge.id, "reflection", "journal", *declared.workloads}
    return wanted | {sidecar_id(workload) for workload in declared.workloads} | ({"sink"} if plan.sink else set())


def _rejection(status: MeshStatus | None) -> str:
    """What an Envoy says against its configuration, such as a port that somebody took meanwhile."""
    said = (
        [f"{node.id} rejects its configuration: {node.rejected}" for node in status.nodes if node.rejected]
        if status
        else []
    )
    return "; ".join(said)


def _last_words(mesh: Places) -> str:
    """Why the supervisor ended: its last line, without our own name before it."""
    said = last_line(mesh.log_of("supervisor")).removeprefix("meshlog: ")
    return (
        said or f"{mesh.name} was ended before it was healthy, as `meshlog down` does; if nobody did, see {mesh.logs}"
    )


def _what_is_missing(mesh: Places, state: State, wanted: set[str]) -> str:
    processes = {process.name: process for process in state.processes}
    said = [_how_it_is(mesh, name, processes.get(name)) for name in sorted(wanted)]
    missing = "; ".join(one for one in said if one)
    return f"the mesh does not get healthy: {missing or 'a node does not take its configuration, see its log'}"


def _how_it_is(mesh: Places, name: str, process: ProcessState | None) -> str:
    if process is None:
        return f"{name} is not started"
    if process.state == "ready":
        return ""
    if process.problem:
        return f"{name} {process.problem}"
    said = last_line(mesh.log_of(name))
    return f"{name} is {process.state}, and does not answer" + (f" (it said: {said})" if said else "")
