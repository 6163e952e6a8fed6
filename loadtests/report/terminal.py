"""Blocks as text for a terminal, laid out by rich. Figures are left out: the tables beside them say the same.

Rule: nothing that came from outside reaches the terminal as a control character, or rich as markup.
"""

import io
import shutil
from collections.abc import Iterable, Iterator
from typing import assert_never

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from loadtests.report.blocks import Block, Figures, Heading, Notice, Paragraph, Points, Table
from observability.waterfall import printable

_TONES = {"good": "green", "bad": "bold red", "plain": "yellow"}


def text(blocks: Iterable[Block], *, width: int = 0, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        width=width or shutil.get_terminal_size((120, 40)).columns,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
    )
    for renderable in renderables(blocks):
        console.print(renderable)
    return out.getvalue()


def renderables(blocks: Iterable[Block]) -> Iterator[RenderableType]:
    """For a console that is there already."""
    for block in blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[RenderableType]:
    match block:
        case Heading():
            yield Text(f"\n{printable(block.text)}", style="bold")
        case Paragraph():
            yield Text(printable(block.text))
        case Notice():
            yield Text(printable(block.text), style=_TONES.get(block.tone, ""))
        case Points():
            for lead, said in block.points:
                yield Text.assemble("- ", (f"{printable(lead)} " if lead else "", "bold"), printable(said))
        case Table():
            yield _grid(block)
        case Figures():
            return
        case _:
            assert_never(block)


def _grid(table: Table) -> Grid:
    grid = Grid(
        box=box.SIMPLE_HEAD, title=Text(printable(table.caption)) if table.caption else None, title_justify="left"
    )
    for place, column in enumerate(table.columns):
        words = place < table.labels
        grid.add_column(Text(printable(column)), justify="left" if words else "right", overflow="fold")
    for row in table.rows:
        grid.add_row(*(Text(printable(str(entry))) for entry in row))
    return grid
