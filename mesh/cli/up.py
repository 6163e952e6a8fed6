"""`meshlog up`: from nothing, from what a killed supervisor left, or from a running mesh to what the topology file says.

Whatever goes wrong on the way to a mesh that was not there before ends in one sentence and nothing left running.
"""

import asyncio
import contextlib
import shutil
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import click
import psutil

from mesh.cli.convergence import MeshFailed, watch_start
from mesh.cli.down import bring_down, bring_down_alone
from mesh.cli.interrupts import run
from mesh.cli.output import say_json
from mesh.cli.settings import actor, child_environment, mesh_options, telemetry_environment
from mesh.cli.welcome import first_calls, lines_to_copy
from mesh.decide import declared
from mesh.errors import SubstrateError
from mesh.invariants import check
from mesh.substrates.laptop.ending import ended, is_stopped
from mesh.substrates.laptop.exclusive import exclusively
from mesh.substrates.laptop.fleet import SUPERVISOR
from mesh.substrates.laptop.inotify import require_instances
from mesh.substrates.laptop.placement import commands, place, sink_addresses
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.plan import Plan, discard
from mesh.substrates.laptop.ports import require_free
from mesh.substrates.laptop.processes import Found, Spec, find, start
from mesh.substrates.laptop.specs import ENVOYS, envoy_binary, listening, specs
from mesh.topology_file import descriptor_sets, read_topology_file

_DEFAULT_FILE = Path(__file__).parents[2] / "manifests" / "topology.toml"
_FREE_BYTES = 64 * 1024 * 1024  # below this the log could not keep its promise for long


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Return when the mesh is healthy; it goes on.")
@click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(path_type=Path),
    help="A topology file; without one, the four services of the contract.",
)
@click.option(
    "--port-offset",
    default=0,
    show_default=True,
    type=int,
    help="Added to every port, for a second mesh beside the first.",
)
@click.option(
    "--begun",
    type=float,
    hidden=True,
    help="When `make up` began: make a call on each path, and say how long it all took.",
)
@mesh_options
def command(
    mesh: Places, as_json: bool, detach: bool, file: Path | None, port_offset: int, begun: float | None
) -> None:
    """Start the mesh, or bring a running one to what the topology file says."""
    plan = _plan(file or _DEFAULT_FILE, port_offset)
    run(_up(mesh, plan, as_json=as_json, detach=detach, begun=begun))


def _plan(file: Path, port_offset: int) -> Plan:
    """Raises: UnreadableFile, SubstrateError, InvalidTopology."""
    topology_file = read_topology_file(file)
    environment = telemetry_environment()
    declaration = place(
        topology_file, descriptor_sets(topology_file, file), port_offset=port_offset, environment=environment
    )
    check(declared(declaration))  # what makes no sense is told before anything is started
    return Plan(
        declaration=declaration,
        commands=commands(topology_file),
        environment=child_environment(),
        telemetry=environment,
        sink=sink_addresses(topology_file, port_offset=port_offset, environment=environment),
        actor=actor(),
        id=uuid.uuid4().hex,
    )


async def _up(mesh: Places, plan: Plan, *, as_json: bool, detach: bool, begun: float | None) -> None:
    envoy_binary()  # or one sentence, before anything is made
    mesh.make()
    async with exclusively(mesh, _waiting()):
        running = find(mesh.run)
        supervised = any(found.name == SUPERVISOR for found in running)
        try:
            _require_room(plan, mesh, running)
            supervisor = _supervisor(mesh, plan, running)
            seconds = await watch_start(mesh, plan, supervisor, quiet=as_json)
        except BaseException as error:
            if running:
                discard(mesh.plan)
                raise
            await bring_down(mesh)
            if isinstance(error, MeshFailed):
                _require_room(plan, mesh, [])  # somebody may have taken one while we started: the better sentence
            raise
    try:
        await _welcome(mesh, plan, seconds, as_json=as_json, adopted=bool(running) and not supervised, begun=begun)
        if not detach:
            await _attend(mesh)
    except asyncio.CancelledError:
        if not detach:
            with contextlib.suppress(OSError):  # the terminal may be gone
                click.echo(f"ending {mesh.name}", err=True)
            await bring_down_alone(mesh)
        raise


def _waiting() -> Callable[[float], bool]:
    """Say once that we wait, and go on waiting."""
    said: list[str] = []

    def wait(_: float) -> bool:
        if not said:
            said.append("waiting for another meshlog command that begins or ends this mesh")
            click.echo(said[0], err=True)
        return True

    return wait


def _supervisor(mesh: Places, plan: Plan, running: list[Found]) -> psutil.Process:
    """Give the supervisor the plan; start one, which outlives us, if there is none. Raises: SubstrateError, OSError."""
    free = shutil.disk_usage(mesh.state).free
    if free < _FREE_BYTES:
        raise SubstrateError(
            f"the disk is full at {mesh.state}: {free // 2**20} MiB are free, {_FREE_BYTES // 2**20} MiB are needed"
        )
    found = next((found.process for found in running if found.name == SUPERVISOR), None)
    if found and is_stopped(found):
        raise SubstrateError(
            f"the supervisor of {mesh.name} is stopped: let it go on (kill -CONT {found.pid}), or end the mesh (meshlog down)"
        )
    plan.stage(mesh.plan)
    if found:
        return found
    mesh.state_file.unlink(missing_ok=True)
    argv = (sys.executable, "-m", "mesh.cli.supervisor", str(mesh.state), str(mesh.run), mesh.name)
    log = mesh.log_of(SUPERVISOR)
    with contextlib.suppress(FileNotFoundError):
        log.replace(log.with_suffix(".log.1"))  # the last line of a new one is the reason, should it fail
    spec = Spec(SUPERVISOR, SUPERVISOR, argv, mesh.state, log, surroundings=plan.environment)
    return start(spec, mesh.name, mesh.run)


def _require_room(plan: Plan, mesh: Places, running: list[Found]) -> None:
    """Raises: SubstrateError naming what is short: ports that somebody else has, and who; inotify instances."""
    wanted = specs(declared(plan.declaration), plan, mesh, envoy_binary())
    if not running:
        require_instances(sum(spec.kind in ENVOYS for spec in wanted))
    ports = listening(wanted)
    require_free([("127.0.0.1", port) for port in sorted(ports)], own=frozenset(found.process.pid for found in running))


async def _welcome(
    mesh: Places, plan: Plan, seconds: float, *, as_json: bool, adopted: bool, begun: float | None
) -> None:
    if as_json:
        say_json({"mesh": mesh.name, "seconds": round(seconds, 2), "adopted": adopted})
        return
    click.echo(f"{mesh.name} is up and healthy after {seconds:.1f} s")
    trace_id = None
    if begun is not None:
        trace_id = await first_calls(plan.declaration)
        click.echo(f"  make up took {time.time() - begun:.1f} s")
    click.echo(lines_to_copy(mesh.name, plan.declaration, trace_id, made=begun is not None))


async def _attend(mesh: Places) -> None:
    """Stay until Ctrl-C, or until somebody else has ended the mesh."""
    click.echo("Ctrl-C ends it", err=True)
    while running := find(mesh.run):
        supervisor = next((found.process for found in running if found.name == SUPERVISOR), None)
        if supervisor:
            await ended(supervisor)
        else:  # it was killed; the mesh goes on, and the next `meshlog up` adopts it
            await asyncio.sleep(1.0)
    click.echo(f"{mesh.name} was ended", err=True)
