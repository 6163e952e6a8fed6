"""`meshlog down`: ends the supervisor, which ends the others in order; and whatever a killed supervisor left."""

import asyncio
import shutil

import click

from mesh.cli.interrupts import run
from mesh.cli.output import say_json
from mesh.cli.settings import mesh_options
from mesh.errors import SubstrateError
from mesh.substrates.laptop.ending import end, end_others, ended, is_stopped, terminate
from mesh.substrates.laptop.exclusive import exclusively
from mesh.substrates.laptop.fleet import SUPERVISOR
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.processes import find, remains

_SUPERVISOR_SECONDS = 60.0  # above all that it may wait for: calls under way, their record, streams


@click.command()
@mesh_options
def command(mesh: Places, as_json: bool) -> None:
    """End the mesh and everything it started. The log stays. A mesh that is down already is no error."""
    ended_ = run(bring_down_alone(mesh))
    if as_json:
        say_json({"mesh": mesh.name, "ended": ended_})
    else:
        click.echo(f"{mesh.name} is down; {ended_} processes ended" if ended_ else f"{mesh.name} is not running")


async def bring_down_alone(mesh: Places) -> int:
    """End the mesh as its only master; how many processes there were. An `up` that is under way is ended with its mesh. Raises: SubstrateError."""
    running = len(find(mesh.run))
    if not mesh.state.is_dir():  # it was never up, or somebody removed its home under its feet
        return await bring_down(mesh)

    def end_what_begins(seconds: float) -> bool:
        for found in find(mesh.run):
            if found.name == SUPERVISOR:
                terminate(found.process)
        return seconds < _SUPERVISOR_SECONDS  # or else who holds the lock is stopped

    async with exclusively(mesh, end_what_begins):
        return max(running, await bring_down(mesh))


async def bring_down(mesh: Places) -> int:
    """End every process of the mesh, whose lock we hold; how many there were. Raises: SubstrateError if one does not end."""
    running = find(mesh.run)
    for found in running:
        if found.name == SUPERVISOR:
            terminate(found.process)
            await ended(found.process, _SUPERVISOR_SECONDS)
    await asyncio.gather(*(end(found.process, 5.0) for found in find(mesh.run)))
    await end_others(remains(mesh.run), 1.0)
    shutil.rmtree(mesh.run, ignore_errors=True)
    if left := find(mesh.run):
        said = ", ".join(
            f"{found.name} (pid {found.process.pid}{', stopped' if is_stopped(found.process) else ''})"
            for found in left
        )
        raise SubstrateError(f"{said} did not end, not even by SIGKILL")
    return len(running)
