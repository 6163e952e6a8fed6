"""Blocks as Markdown (GitHub's). Figures are left out: the tables beside them say the same.

Rule: text is text. Whatever would be markup, a link or HTML in a name that came from outside is escaped.
"""

import re
from collections.abc import Iterable
from typing import assert_never

from loadtests.report.blocks import Block, Figures, Heading, Notice, Paragraph, Points, Table
from observability.waterfall import printable

_MARKUP = re.compile(r"([\\`*_|~])")
_LEADING = re.compile(r"^(#|>|[-+=](?=\s|$)|\d+(?=[.)]\s))")


def markdown(blocks: Iterable[Block]) -> str:
    return "\n\n".join(filter(None, (_block(block) for block in blocks))) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {_text(block.text)}"
        case Paragraph():
            return _text(block.text)
        case Notice():
            return f"> **{_text(block.text)}**" if block.tone == "bad" else f"> {_text(block.text)}"
        case Points():
            return "\n".join(f"- {f'**{_text(lead)}** ' if lead else ''}{_text(said)}" for lead, said in block.points)
        case Table():
            return _table(block)
        case Figures():
            return ""
        case _:
            assert_never(block)


def _table(table: Table) -> str:
    sides = [":--" if column < table.labels else "--:" for column in range(len(table.columns))]
    rows = [[_text(column) for column in table.columns], sides]
    rows += [[_text(str(entry)) for entry in row] for row in table.rows]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([_text(table.caption), "", *lines] if table.caption else lines)


def _text(text: str) -> str:
    line = _MARKUP.sub(r"\\\1", printable(text)).replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\(")
    return _LEADING.sub(r"\\\1", line)
