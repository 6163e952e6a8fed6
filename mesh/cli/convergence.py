"""Waiting for a mesh to be healthy: every process ready, every node running the newest position. Shows progress."""

import asyncio
import json
import time
from typing import Any

import click

from mesh.control.client import ControlClient
from mesh.errors import MeshError, SubstrateError
from mesh.events import Declaration
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.processes import find
from mesh.xds.sidecar import sidecar_id

_SECONDS = 60.0
_POLL_SECONDS = 0.05
_RESTARTS = 4  # a process that died so often without getting ready will not get ready


class MeshFailed(SubstrateError):
    """The mesh did not get healthy."""


async def watch_start(mesh: Places, declaration: Declaration, *, quiet: bool) -> float:
    """Return when all is healthy; the seconds it took. Raises: MeshFailed."""
    begun = time.monotonic()
    wanted = {"control-plane", declaration.edge.id, "reflection", "journal", *declaration.workloads}
    wanted |= {sidecar_id(workload) for workload in declaration.workloads}
    said: set[str] = set()
    while time.monotonic() - begun < _SECONDS:
        state = supervisor_state(mesh)
        ready = {process["name"] for process in state["processes"] if process["state"] == "ready"}
        for name in sorted(ready - said):
            if not quiet:
                click.echo(f"  {time.monotonic() - begun:5.1f} s  {name} is ready", err=True)
        said |= ready
        if wanted <= ready and await converged(mesh):
            return time.monotonic() - begun
        if hopeless := [p for p in state["processes"] if p["restarts"] >= _RESTARTS and p["state"] != "ready"]:
            raise MeshFailed(_what_is_missing(mesh, {process["name"] for process in hopeless}))
        if not any(found.name == "supervisor" for found in find(mesh.run)):
            raise MeshFailed(_last_words(mesh))
        await asyncio.sleep(_POLL_SECONDS)
    raise MeshFailed(_what_is_missing(mesh, wanted))


async def converged(mesh: Places) -> bool:
    """True if every node has acknowledged the newest position."""
    try:
        async with ControlClient(mesh.control_address) as control:
            status = await control.status()
    except MeshError:
        return False
    return all(node.connected and node.acknowledged == status.position for node in status.nodes)


def supervisor_state(mesh: Places) -> dict[str, Any]:
    """What the supervisor wrote down last; empty if it has written nothing."""
    try:
        state: dict[str, Any] = json.loads(mesh.state_file.read_text())
    except (OSError, ValueError):
        return {"mesh": mesh.name, "position": 0, "processes": []}
    return state


def _last_words(mesh: Places) -> str:
    """Why the supervisor ended: its last line, without our own name before it."""
    try:
        lines = [line for line in mesh.log_of("supervisor").read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    if not lines:
        return f"the supervisor ended without a word; see {mesh.logs}"
    return lines[-1].removeprefix("meshlog: ")


def _what_is_missing(mesh: Places, wanted: set[str]) -> str:
    processes = {process["name"]: process for process in supervisor_state(mesh)["processes"]}
    missing = [name for name in sorted(wanted) if processes.get(name, {}).get("state") != "ready"]
    said = []
    for name in missing:
        process = processes.get(name, {})
        said.append(
            f"{name} is {process.get('state', 'not started')} {process.get('problem') or _tail(mesh, name)}".rstrip()
        )
    return "the mesh does not get healthy: " + (
        "; ".join(said) or "a node does not accept its configuration, see `meshlog status`"
    )


def _tail(mesh: Places, name: str) -> str:
    try:
        lines = [line for line in mesh.log_of(name).read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return f"({lines[-1][:200]})" if lines else ""
