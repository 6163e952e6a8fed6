"""`meshlog status`: processes, nodes and calls, now. Works, with what there is to say, whatever part of the mesh is gone."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click
import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mesh.cli.interrupts import run
from mesh.cli.output import say_json
from mesh.cli.settings import mesh_options
from mesh.control.client import ControlClient
from mesh.control.replies import MeshStatus
from mesh.errors import MeshError
from mesh.substrates.laptop.ending import is_stopped
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.probes import active_calls
from mesh.substrates.laptop.processes import find
from mesh.substrates.laptop.state import ProcessState, State, read_state
from mesh.xds.admin import ADMIN_SOCKET

_COLOURS = {
    "ready": "green",
    "starting": "yellow",
    "unwell": "yellow",
    "waiting": "red",
    "dead": "red",
    "stopped": "red",
}
_SECONDS = 4.0  # a control plane that takes longer is told to be unavailable


@click.command()
@mesh_options
def command(mesh: Places, as_json: bool) -> None:
    """Processes, nodes and calls, now.

    The exit status is 0 if all is well, 3 if not, 4 if the mesh is down. With --json one object: mesh, healthy, position,
    control_plane ("ready", "unavailable", "down"), problem, nodes (id, kind, connected, served, acknowledged, rejected), calls
    (recorded, lost, in_flight; null: nobody knows now), faults (workload, delay_ms, percent), processes (name, kind, pid, state, ports, restarts, problem).
    """
    status = run(_status(mesh))
    if as_json:
        say_json(status)
    else:
        _print(status)
    if not status["processes"]:
        raise SystemExit(4)
    if not status["healthy"]:
        raise SystemExit(3)


async def _status(mesh: Places) -> dict[str, Any]:
    processes = _processes(mesh)
    if not processes:
        books = dict.fromkeys(("recorded", "lost", "in_flight"))
        down = {"healthy": False, "position": 0, "control_plane": "down", "problem": "", "nodes": [], "calls": books}
        return {"mesh": mesh.name, **down, "faults": [], "processes": []}
    answer, in_flight = await asyncio.gather(asked(mesh), _in_flight(mesh, processes))
    nodes = [msgspec.to_builtins(node) for node in answer.nodes] if answer else []
    position = answer.position if answer else supervisor_state(mesh).position
    healthy = answer is not None and all(process["state"] == "ready" for process in processes)
    healthy = healthy and all(node["acknowledged"] == position and node["connected"] for node in nodes)
    return {
        "mesh": mesh.name,
        "healthy": healthy,
        "position": position,
        "control_plane": "ready" if answer else "unavailable",
        "problem": supervisor_state(mesh).problem,
        "nodes": nodes,
        "calls": {
            "recorded": sum(books.recorded for books in answer.calls) if answer else None,
            "lost": sum(books.lost for books in answer.calls) if answer else None,
            "in_flight": in_flight,
        },
        "faults": [msgspec.to_builtins(fault) for fault in answer.faults] if answer else [],
        "processes": processes,
    }


def supervisor_state(mesh: Places) -> State:
    """What the supervisor wrote down last."""
    return read_state(mesh.name, mesh.state_file)


def _processes(mesh: Places) -> list[dict[str, Any]]:
    """What was written down, against what is found: the supervisor may be gone, and the processes themselves are the truth."""
    alive = {found.name: found for found in find(mesh.run)}
    written = {process.name: process for process in supervisor_state(mesh).processes}
    if not alive:
        return []
    processes = []
    for name in [*written, *(alive.keys() - written.keys())]:
        found, said = alive.get(name), written.get(name)
        pid = found.process.pid if found else None
        if found is None:
            state = "dead" if not said or said.state != "waiting" else "waiting"
        elif is_stopped(found.process):
            state = "stopped"
        else:
            state = said.state if said and said.pid == pid else "starting"
        known = said or ProcessState(name, found.kind if found else "", pid, state, found.ports if found else ())
        processes.append(msgspec.to_builtins(replace(known, pid=pid, state=state)))
    return processes


async def asked(mesh: Places) -> MeshStatus | None:
    """What the control plane says of nodes and calls. None: it does not answer."""
    with contextlib.suppress(MeshError):
        async with ControlClient(mesh.control_address, timeout_seconds=_SECONDS) as control:
            return await control.status()
    return None


async def _in_flight(mesh: Places, processes: list[dict[str, Any]]) -> int | None:
    """How many calls the edge has under way. None: it does not say."""
    for process in processes:
        if process["kind"] == "edge" and process["pid"]:
            with contextlib.suppress(OSError, ValueError):
                return await active_calls(mesh.node(process["name"]) / ADMIN_SOCKET)
    return None


def _position(node: dict[str, Any] | None) -> str:
    """The position that an Envoy says it runs; and the one that it was served, where that is another."""
    if node is None:
        return ""
    served, acknowledged = node["served"], node["acknowledged"]
    return str(acknowledged) if acknowledged == served else f"{acknowledged}, was served {served}"


def _print(status: dict[str, Any]) -> None:
    console = Console(highlight=False)
    if not status["processes"]:
        console.print(f"{status['mesh']} is down; [bold]meshlog up[/] starts it")
        return
    well = "[green]healthy[/]" if status["healthy"] else "[red]not well[/]"
    calls = status["calls"]
    said = "  ".join(f"{calls[key] if calls[key] is not None else '?'} {key.replace('_', ' ')}" for key in calls)
    console.print(f"[bold]{status['mesh']}[/] is {well} at position {status['position']}   calls: {said}")
    nodes = {node["id"]: node for node in status["nodes"]}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("process", "state", "pid", "ports", "restarts", "position"):
        table.add_column(column, no_wrap=True)
    for process in status["processes"]:
        state = f"[{_COLOURS.get(process['state'], 'white')}]{process['state']}[/]"
        figures = (str(process["pid"] or ""), " ".join(map(str, process["ports"])), str(process["restarts"] or ""))
        table.add_row(process["name"], state, *figures, _position(nodes.get(process["name"])))
    console.print(table)
    for remark in _remarks(status):
        console.print(remark)


def _remarks(status: dict[str, Any]) -> Iterator[str]:
    """What is not well, or not as usual, and what helps."""
    for process in status["processes"]:
        if process["kind"] == "supervisor" and process["state"] == "dead":
            yield "the supervisor is dead; the mesh goes on serving, and [bold]meshlog up[/] adopts it"
        elif process["state"] == "stopped":
            yield f"{process['name']} is stopped; [bold]kill -CONT {process['pid']}[/] lets it go on"
        elif process["problem"]:
            yield f"{process['name']} {escape(process['problem'])}"
    for node in status["nodes"]:
        if node["rejected"]:
            yield f"{node['id']} rejected position {node['served']}: {escape(node['rejected'])}"
    for fault in status["faults"]:
        workload, felt = fault["workload"], f"{fault['percent']:g} % of its calls take {fault['delay_ms']:g} ms more"
        yield f"{workload} has a fault: {felt}; [bold]meshlog fault {workload} --clear[/] takes it out"
    if status["problem"]:
        yield escape(status["problem"])
