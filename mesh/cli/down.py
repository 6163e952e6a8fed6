"""`meshlog down`: ends the supervisor, which ends the others in order; and whatever a killed supervisor left."""

import asyncio
import shutil
import time

import click

from mesh.cli.output import say_json
from mesh.cli.settings import mesh_options
from mesh.errors import SubstrateError
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.processes import find, gone, terminate
from mesh.substrates.laptop.runner import end

_SUPERVISOR_SECONDS = 60.0  # above all that it may wait for: calls under way, their record, streams


@click.command()
@mesh_options
def command(mesh: Places, as_json: bool) -> None:
    """End the mesh and everything it started. The log stays. A mesh that is down already is no error."""
    ended = asyncio.run(bring_down(mesh))
    if as_json:
        say_json({"mesh": mesh.name, "ended": ended})
    else:
        click.echo(f"{mesh.name} is down; {ended} processes ended" if ended else f"{mesh.name} is not running")


async def bring_down(mesh: Places) -> int:
    """End every process of the mesh; how many there were. Raises: SubstrateError if one does not end."""
    running = find(mesh.run)
    for found in running:
        if found.name == "supervisor":
            terminate(found.process)
            deadline = time.monotonic() + _SUPERVISOR_SECONDS
            while not gone(found.process) and time.monotonic() < deadline:  # noqa: ASYNC110 (no event says it)
                await asyncio.sleep(0.05)
    await asyncio.gather(*(end(found.process, 5.0) for found in find(mesh.run)))
    shutil.rmtree(mesh.run, ignore_errors=True)
    if left := find(mesh.run):
        said = ", ".join(f"{found.name} (pid {found.process.pid})" for found in left)
        raise SubstrateError(f"{said} did not end")
    return len(running)
