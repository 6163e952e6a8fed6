"""`meshlog status`: processes, nodes and calls, now. Works, with what there is to say, whatever part of the mesh is gone."""

import asyncio
import contextlib
from typing import Any

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from mesh.cli.convergence import supervisor_state
from mesh.cli.output import say_json
from mesh.cli.settings import mesh_options
from mesh.control.client import ControlClient
from mesh.errors import MeshError
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.probes import http_exchange
from mesh.substrates.laptop.processes import find

_COLOURS = {"ready": "green", "starting": "yellow", "unwell": "yellow", "waiting": "red", "dead": "red"}


@click.command()
@mesh_options
def command(mesh: Places, as_json: bool) -> None:
    """Processes, nodes and calls, now. The exit status is 0 if all is well, 3 if not, 4 if the mesh is down."""
    status = asyncio.run(_status(mesh))
    if as_json:
        say_json(status)
    else:
        _print(status)
    if not status["processes"]:
        raise SystemExit(4)
    if not status["healthy"]:
        raise SystemExit(3)


async def _status(mesh: Places) -> dict[str, Any]:
    alive = {found.name: found.process.pid for found in find(mesh.run)}
    processes = []
    for process in supervisor_state(mesh)["processes"]:
        pid = alive.get(process["name"])
        # the supervisor may be gone, and what it wrote down with it: the processes themselves are the truth
        state = process["state"] if pid == process["pid"] and pid else ("starting" if pid else "dead")
        processes.append({**process, "pid": pid, "state": state})
    position, nodes, control_plane = 0, [], "unavailable"
    with contextlib.suppress(MeshError):
        async with ControlClient(mesh.control_address) as control:
            answer = await control.status()
        position, control_plane = answer.position, "ready"
        nodes = [msgspec.to_builtins(node) for node in answer.nodes]
    healthy = bool(processes) and control_plane == "ready" and all(p["state"] == "ready" for p in processes)
    healthy = healthy and all(node["acknowledged"] == position and node["connected"] for node in nodes)
    return {
        "mesh": mesh.name,
        "healthy": healthy,
        "position": position,
        "control_plane": control_plane,
        "nodes": nodes,
        "calls": await _calls(mesh, processes),
        "processes": processes,
    }


async def _calls(mesh: Places, processes: list[dict[str, Any]]) -> dict[str, int | None]:
    """Calls recorded and lost, by the log; and in flight now, by the edge. None: not known, because who would know is gone."""
    books: dict[str, int | None] = {"recorded": None, "lost": None, "in_flight": None}
    with contextlib.suppress(MeshError):
        async with ControlClient(mesh.control_address) as control:
            answer = await control.status()
        books.update(recorded=sum(c.recorded for c in answer.calls), lost=sum(c.lost for c in answer.calls))
    edge = next((process for process in processes if process["kind"] == "edge" and process["pid"]), None)
    if edge:
        with contextlib.suppress(OSError, ValueError):
            admin = ("127.0.0.1", edge["ports"][-1])
            _, body = await http_exchange(admin, "/stats?filter=^http\\.(grpc|rest)\\.downstream_rq_active$")
            books["in_flight"] = sum(int(line.rpartition(b":")[2]) for line in body.splitlines() if line)
    return books


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
    for column in ("process", "state", "pid", "ports", "restarts", "runs position"):
        table.add_column(column, no_wrap=True)
    for process in status["processes"]:
        state = f"[{_COLOURS.get(process['state'], 'white')}]{process['state']}[/]"
        figures = (str(process["pid"] or ""), " ".join(map(str, process["ports"])), str(process["restarts"] or ""))
        table.add_row(process["name"], state, *figures, _position(nodes.get(process["name"])))
    console.print(table)
    for process in status["processes"]:
        if process["state"] == "dead" and process["kind"] == "supervisor":
            console.print("the supervisor is dead; the mesh goes on serving, and [bold]meshlog up[/] adopts it")
        elif process["problem"]:
            console.print(f"{process['name']}: {process['problem']}")
    for node in status["nodes"]:
        if node["rejected"]:
            console.print(f"{node['id']} rejected position {node['served']}: {node['rejected']}")
