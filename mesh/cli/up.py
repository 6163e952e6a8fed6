"""`meshlog up`: from nothing, from what a killed supervisor left, or from a running mesh to what the topology file says.

Whatever goes wrong on the way to a mesh that was not there before ends in one sentence and nothing left running.
"""

import asyncio
import shutil
import sys
import time
from pathlib import Path

import click

from mesh.cli.convergence import MeshFailed, watch_start
from mesh.cli.down import bring_down
from mesh.cli.output import say_json
from mesh.cli.settings import actor, child_environment, mesh_options, telemetry_environment
from mesh.cli.welcome import first_calls, lines_to_copy
from mesh.commands import ApplyTopology
from mesh.control.client import ControlClient
from mesh.decide import declared
from mesh.errors import MeshError, SubstrateError
from mesh.invariants import check
from mesh.substrates.laptop.placement import commands, place, sink_addresses
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.plan import Plan, read_plan
from mesh.substrates.laptop.ports import require_free
from mesh.substrates.laptop.processes import Found, Spec, find, start
from mesh.substrates.laptop.specs import envoy_binary, listening, specs
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
    asyncio.run(_up(mesh, plan, as_json=as_json, detach=detach, begun=begun))


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
    )


async def _up(mesh: Places, plan: Plan, *, as_json: bool, detach: bool, begun: float | None) -> None:
    running = find(mesh.run)
    supervised = any(found.name == "supervisor" for found in running)
    _require_free_ports(plan, mesh, running)
    if supervised:
        await _apply(mesh, plan)
    else:
        _begin(mesh, plan)
    try:
        seconds = await watch_start(mesh, plan.declaration, quiet=as_json)
    except (KeyboardInterrupt, asyncio.CancelledError, MeshFailed) as error:
        if not running:
            await bring_down(mesh)
        if isinstance(error, MeshFailed):
            raise
        raise KeyboardInterrupt from None
    if as_json:
        say_json({"mesh": mesh.name, "seconds": round(seconds, 2), "adopted": bool(running) and not supervised})
    else:
        click.echo(f"{mesh.name} is up and healthy after {seconds:.1f} s")
        trace_id = None
        if begun is not None:
            trace_id = await first_calls(plan.declaration)
            click.echo(f"  make up took {time.time() - begun:.1f} s")
        click.echo(lines_to_copy(mesh.name, plan.declaration, trace_id, made=begun is not None))
    if not detach:
        await _attend(mesh)


def _begin(mesh: Places, plan: Plan) -> None:
    """Start the supervisor, which outlives us. Raises: SubstrateError."""
    envoy_binary()
    mesh.make()
    free = shutil.disk_usage(mesh.state).free
    if free < _FREE_BYTES:
        raise SubstrateError(
            f"the disk is full at {mesh.state}: {free // 2**20} MiB are free, {_FREE_BYTES // 2**20} MiB are needed"
        )
    mesh.state_file.unlink(missing_ok=True)
    plan.write(mesh.plan)
    argv = (sys.executable, "-m", "mesh.cli.supervisor", str(mesh.state), str(mesh.run), mesh.name)
    log = mesh.log_of("supervisor")
    log.unlink(missing_ok=True)  # its last line is the reason, should it fail
    start(Spec("supervisor", "supervisor", argv, mesh.state, log, surroundings=plan.environment), mesh.name, mesh.run)


async def _apply(mesh: Places, plan: Plan) -> None:
    """Bring a running mesh to the plan; a plan that is refused changes nothing."""
    before = read_plan(mesh.plan)
    plan.write(mesh.plan)
    try:
        async with ControlClient(mesh.control_address) as control:
            await control.execute(ApplyTopology(plan.declaration), actor=actor(), reason="meshlog up")
    except MeshError:
        before.write(mesh.plan)
        raise


def _require_free_ports(plan: Plan, mesh: Places, running: list[Found]) -> None:
    """Raises: SubstrateError naming the ports that somebody else has, and who."""
    ports = listening(specs(declared(plan.declaration), plan, mesh, envoy_binary()))
    require_free([("127.0.0.1", port) for port in sorted(ports)], own=frozenset(found.process.pid for found in running))


async def _attend(mesh: Places) -> None:
    """Stay until Ctrl-C or until somebody else ends the mesh; then end it."""
    click.echo("Ctrl-C ends it", err=True)
    try:
        while find(mesh.run):  # noqa: ASYNC110 (processes that are not our children send us no event)
            await asyncio.sleep(0.5)
        click.echo(f"{mesh.name} was ended", err=True)
    finally:
        await asyncio.shield(bring_down(mesh))
