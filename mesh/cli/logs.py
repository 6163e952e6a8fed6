"""`meshlog logs`: what the processes print, merged in the order in which it was written, or one of them."""

import os
import time
from pathlib import Path

import click

from mesh.cli.output import say_json
from mesh.cli.settings import mesh_options
from mesh.errors import SubstrateError
from mesh.substrates.laptop.places import Places

_POLL_SECONDS = 0.2
_LAST_BYTES = 1024 * 1024


@click.command()
@click.argument("node", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "-n", "--lines", default=50, show_default=True, type=click.IntRange(min=0), help="The last lines of each process."
)
@mesh_options
def command(mesh: Places, as_json: bool, node: str | None, follow: bool, lines: int) -> None:
    """What the processes print: of all, or of NODE (a name that `meshlog status` lists)."""
    files = sorted(mesh.logs.glob("*.log"))
    if node is not None:
        files = [file for file in files if file.stem == node]
    if not files:
        known = ", ".join(sorted(file.stem for file in mesh.logs.glob("*.log")))
        if not known:
            raise SubstrateError(f"{mesh.name} was never up, so nothing was printed; `meshlog up` starts it")
        raise SubstrateError(f"no process of {mesh.name} is called {node}; there are {known}")
    read = {file: _last(file, lines, as_json) for file in files}
    while follow:
        time.sleep(_POLL_SECONDS)
        for file in sorted(mesh.logs.glob("*.log")) if node is None else files:
            read[file] = _more(file, read.get(file, 0), as_json)


def _last(file: Path, lines: int, as_json: bool) -> int:
    """Print the last `lines` of a log, if they are not very long; how far it was read."""
    with file.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(0, size - _LAST_BYTES))
        content = log.read()
    for line in content.splitlines()[-lines:] if lines else ():
        _say(file.stem, line, as_json)
    return size


def _more(file: Path, read: int, as_json: bool) -> int:
    try:
        size = file.stat().st_size
    except FileNotFoundError:  # it is being begun anew
        return 0
    if size < read:  # it was begun anew
        read = 0
    if size == read:
        return read
    with file.open("rb") as log:
        log.seek(read)
        content = log.read(_LAST_BYTES)
    whole = content[: content.rfind(b"\n") + 1] or (content if len(content) == _LAST_BYTES else b"")
    for line in whole.splitlines():
        _say(file.stem, line, as_json)
    return read + len(whole)


def _say(process: str, line: bytes, as_json: bool) -> None:
    text = line.decode(errors="replace")
    if as_json:
        say_json({"process": process, "line": text})
    else:
        click.echo(f"{click.style(process.ljust(20), fg='cyan')} {text}")
