"""Blocks as one self-contained page: styles and pictures inside, nothing fetched, nothing run.

Rules: text is escaped; a content security policy forbids the page to load anything, whatever was written into it.
"""

import re
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template
from typing import assert_never

from loadtests.report.blocks import Block, Entry, Estimate, Figures, Heading, Notice, Paragraph, Points, Table
from observability.waterfall import printable

_KEPT = re.compile(r"\d (?:ms|s|µs|%|B|MB|users?)\b|\[[\d.,]+, [\d.,]+\]|\d %")


def html(title: str, blocks: Iterable[Block]) -> str:
    page = Template((files("loadtests.report") / "page.html").read_text(encoding="utf-8"))
    body = "\n".join(_block(block) for block in blocks)
    return page.substitute(title=_text(title), body=body)


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{_text(block.text)}</h{block.level}>"
        case Paragraph():
            return f"<p>{_text(block.text)}</p>"
        case Notice():
            return (
                f'<p class="notice {_text(block.tone)}"{" role=alert" * (block.tone == "bad")}>{_text(block.text)}</p>'
            )
        case Points():
            points = (
                f"<li>{f'<b>{_text(lead)}</b> ' if lead else ''}{_text(said)}</li>" for lead, said in block.points
            )
            return f"<ul>{''.join(points)}</ul>"
        case Table():
            return _table(block)
        case Figures():
            return f'<div class="figures">{"".join(_figure(f.title, f.draw(), f.wide) for f in block.figures)}</div>'
        case _:
            assert_never(block)


def _table(table: Table) -> str:
    """Rows that belong together stand under one line that says what they have in common."""
    skipped = int(table.by_first)
    kinds = ["w" if column < table.labels else "n" for column in range(skipped, len(table.columns))]
    columns = table.columns[skipped:]
    head = "".join(f'<th scope="col" class="{k}">{_text(c)}</th>' for k, c in zip(kinds, columns, strict=True))
    rows = []
    for row in table.rows:
        if table.by_first and row[0]:
            rows.append(f'<tr class="g"><th scope="rowgroup" colspan="{len(columns)}">{_entry(row[0])}</th></tr>')
        cells = "".join(f'<td class="{k}">{_entry(entry)}</td>' for k, entry in zip(kinds, row[skipped:], strict=True))
        rows.append(f"<tr>{cells}</tr>")
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    return (
        f'<div class="table" tabindex="0"><table>{caption}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _entry(entry: Entry) -> str:
    if not isinstance(entry, Estimate):
        return _text(entry)
    spread = f" <i>± {_text(entry.spread)}</i>" if entry.spread else " <i></i>"
    return f"{_text(entry.figure)}{spread}"


def _figure(title: str, svg: str, wide: bool) -> str:
    return f"<figure{' class=wide' * wide}><figcaption>{_text(title)}</figcaption>{svg}</figure>"


def _text(text: str) -> str:
    """Figures keep their units and intervals on one line."""
    return _KEPT.sub(lambda kept: kept[0].replace(" ", "\u00a0"), escape(printable(text)))
