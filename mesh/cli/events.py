"""`meshlog events`: the log, as it is or as it grows. Of a mesh that is down it reads the files themselves."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, closing
from typing import Any

import click
import msgspec

from mesh.cli.interrupts import run
from mesh.cli.output import at, say_json
from mesh.cli.settings import mesh_options
from mesh.control.client import ControlClient
from mesh.errors import SubstrateError
from mesh.log.port import Entry
from mesh.log.sqlite_file import CommitFile
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.processes import find
from observability.waterfall import printable

_STREAMS = {"mesh": "mesh", "nodes": "nodes/", "calls": "calls/", "runs": "runs"}
_SECONDS = 4.0  # a control plane that takes longer to say that it is there is stuck
_PAGE = 64  # commits
_LONGEST = 100  # characters of a value, for people


@click.command()
@click.option(
    "--stream",
    type=click.Choice(list(_STREAMS)),
    help="Only the configuration, what Envoys answered, the calls, or the runs of the benchmark.",
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
    """What happened, stream by stream: one event a line. With --json an object of stream, position, at, type and data."""
    run(_print(mesh, _STREAMS[stream] if stream else "", since, follow, as_json))


async def _print(mesh: Places, streams: str, since: int, follow: bool, as_json: bool) -> None:
    if not find(mesh.run):
        if follow:
            raise SubstrateError(f"{mesh.name} is down, so there is nothing to follow; `meshlog up` starts it")
        for entry in _kept(mesh, streams, since):
            _print_entry(entry, as_json)
        return
    async with ControlClient(mesh.control_address, timeout_seconds=_SECONDS) as control:
        await (
            control.status()
        )  # a stream without end could not tell a control plane that is stuck from one that has no news
        entries = control.watch(streams, after=since) if follow else control.read(streams, after=since)
        async with aclosing(_heard(entries, control)) as heard:
            async for entry in heard:
                _print_entry(entry, as_json)


async def _heard(entries: AsyncGenerator[Entry, None], control: ControlClient) -> AsyncGenerator[Entry, None]:
    """`entries`; when it has been silent for long, the control plane is asked whether it still is there."""
    while True:
        entry = asyncio.ensure_future(anext(entries))
        try:
            while not entry.done():
                await asyncio.wait((entry,), timeout=_SECONDS)
                if not entry.done():
                    await control.status()
        finally:
            if not entry.done():
                entry.cancel()
                await asyncio.wait((entry,))
        try:
            yield entry.result()
        except StopAsyncIteration:
            return


def _kept(mesh: Places, streams: str, since: int) -> Iterator[Entry]:
    """Out of the log's files, whose owner is away: read, and nothing else. Raises: LogUnavailable, UnreadableEvent."""
    files = [file for file in (mesh.log / "mesh.db", mesh.log / "calls.db") if file.exists()]
    if not files:
        raise SubstrateError(f"{mesh.name} has no log at {mesh.log}; `meshlog up` begins one")
    for path in files:
        with closing(CommitFile(path)) as file:
            for name in file.names(streams):
                after = since
                while entries := file.read(name, after, _PAGE):
                    yield from entries
                    after = entries[-1].position


def _print_entry(entry: Entry, as_json: bool) -> None:
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
    said = printable(str(value))  # what clients sent must not speak to the terminal
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"
