"""`meshlog events`: the log, as it is or as it grows."""

import asyncio
from typing import Any

import click
import msgspec

from mesh.cli.output import at, say_json
from mesh.cli.settings import mesh_options
from mesh.control.client import ControlClient
from mesh.log.port import Entry
from mesh.substrates.laptop.places import Places

_STREAMS = {"mesh": "mesh", "nodes": "nodes/", "calls": "calls/", "runs": "runs"}
_LONGEST = 100  # characters of a value, for people


@click.command()
@click.option(
    "--stream", type=click.Choice(list(_STREAMS)), help="Only the configuration, what Envoys answered, or the calls."
)
@click.option(
    "--since",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="POSITION",
    help="After this position, in each stream.",
)
@click.option("--follow", is_flag=True, help="And every event as it comes, until Ctrl-C.")
@mesh_options
def command(mesh: Places, as_json: bool, stream: str | None, since: int, follow: bool) -> None:
    """What happened: one event a line. With --json an object of stream, position, at, type and data."""
    asyncio.run(_print(mesh, _STREAMS[stream] if stream else "", since, follow, as_json))


async def _print(mesh: Places, streams: str, since: int, follow: bool, as_json: bool) -> None:
    async with ControlClient(mesh.control_address) as control:
        entries = control.watch(streams, after=since) if follow else control.read(streams, after=since)
        async for entry in entries:
            for event in entry.commit.events:
                _say(entry, event, as_json)


def _say(entry: Entry, event: Any, as_json: bool) -> None:
    kind, data = type(event).__name__, msgspec.to_builtins(event, builtin_types=(bytes,))
    if as_json:
        say_json(
            {
                "stream": entry.stream,
                "position": entry.position,
                "at": at(entry.commit.at_us),
                "type": kind,
                "data": data,
            }
        )
        return
    where = click.style(f"{entry.stream}@{entry.position}".ljust(16), fg="cyan")
    said = " ".join(f"{name}={_short(value)}" for name, value in data.items())
    click.echo(f"{at(entry.commit.at_us)} {where} {click.style(kind, bold=True)} {said}")


def _short(value: Any) -> str:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    said = str(value)
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"
