"""A trace as a web page: complete in itself, without scripts, light or dark as the reader's system is.

Rules: whatever a sender wrote is text (`html.escape`), and a content security policy that allows nothing but the
page's own style sheet stands behind that; a page has a bound, however large the attributes are.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from observability.document import extent, services_of, timestamp
from observability.duration import duration, rounded, ticks
from observability.spans import Span
from observability.tree import Row, rows, time_spent, tree

COLOURS = 9  # classes .s0 to .s8
DEEPEST = 12  # levels that are drawn
MARKS = 8
ATTRIBUTES = 64  # of one span
LONGEST = 1_000  # characters of one value
SHOWN = 1_000_000  # characters of attributes in a page; the JSON has the rest

Page = tuple[bytes, dict[str, str]]


def trace_page(spans: Iterable[Span]) -> Page:
    """The waterfall of one trace, and the headers that belong to it. Raises: ValueError when there are no spans."""
    forest = tree(spans)
    placed = rows(forest)
    chart = _Chart(placed)
    first = placed[0].span
    note = (
        ""
        if forest.complete
        else '<p class="note">Not all of it is here (yet): load the page again to see what has come.</p>'
    )
    body = f"""<header><p>trace <code>{escape(first.trace_id)}</code></p>
<h1>{escape(first.name)} <b class="{chart.colour(first.service)}">{escape(first.service)}</b></h1>
<p>{duration(chart.total)} · {_many(len(placed), "span")} · {_many(len(chart.colours), "service")} · {timestamp(chart.begin)}</p>
{note}</header>
<h2>Waterfall</h2><div class="card">{chart.axis()}{chart.lines()}</div>
<h2>Where the time went</h2>{chart.spent()}"""
    return _page(f"{first.name} · {duration(chart.total)}", body)


def missing_page(trace_id: str) -> Page:
    body = f"""<header><p>trace <code>{escape(trace_id)}</code></p><h1>No such trace here</h1>
<p>It may be too old, the call may not have been sampled, or its spans are still on their way: then load the page again.</p></header>"""
    return _page("No such trace", body)


class _Chart:
    def __init__(self, placed: Sequence[Row]) -> None:
        self._rows = placed
        self.begin, end = extent(placed)
        self.total = end - self.begin
        self.colours = {service: f"s{n % COLOURS}" for n, service in enumerate(services_of(placed))}
        self._marks = ticks(self.total, MARKS)
        self._shown = 0

    def colour(self, service: str) -> str:
        return self.colours.get(service, "s8")

    def axis(self) -> str:
        marks = "".join(
            f'<text x="{self._x(t)}" y="65%" dx="3">{rounded(t)}</text>'
            for t in self._marks
            if t < 0.95 * self.total or not t
        )
        return f'<div class="row axis"><div></div><svg>{self._grid()}{marks}</svg><div class="n begins">begins</div><div class="n">takes</div></div>'

    def lines(self) -> str:
        lines, apart = [], False
        for row in self._rows:
            if row.adrift and not apart:
                apart = True
                lines.append('<div class="apart">Spans whose parent is not here</div>')
            lines.append(self._line(row))
        return "\n".join(lines)

    def _line(self, row: Row) -> str:
        span, bad = row.span, row.span.status == "error"
        label = f'{_guides(row)}<b class="{self.colour(span.service)}">{escape(span.service)}</b><span>{"✗ " * bad}{escape(span.name)}</span>'
        facts = self._facts(row)
        title = escape("\n".join(f"{name}: {value}" for name, value in facts[:16]))
        listed = "".join(
            f"<dt>{escape(name)}</dt><dd{why}>{escape(value)}</dd>"
            for name, value in facts
            for why in [' class="why"' * (name == "status" and bad)]
        )
        return f"""<details><summary class="row{" bad" * bad}" title="{title}"><div class="label">{label}</div>{self._bar(row)}\
<div class="n begins">{duration(row.start_ns - self.begin)}</div><div class="n">{duration(row.duration_ns)}</div></summary><dl>{listed}</dl></details>"""

    def _bar(self, row: Row) -> str:
        own = "" if row.place == row.span.service else "wire"
        parts = [self._rectangle("wait", row.start_ns, row.end_ns, "46%", "8%")]
        parts += [
            self._rectangle(own, begin, end, "25%", "50%") for begin, end in row.own or [(row.start_ns, row.end_ns)]
        ]
        return f'<svg class="{self.colour(row.span.service)}">{self._grid()}{"".join(parts)}</svg>'

    def _rectangle(self, name: str, begin: int, end: int, y: str, height: str) -> str:
        width = max(0.25, 100 * (end - begin) / max(self.total, 1))
        return f'<rect class="{name}" x="{self._x(begin - self.begin)}" width="{width:.3f}%" y="{y}" height="{height}" rx="2"/>'

    def _grid(self) -> str:
        return "".join(f'<line x1="{self._x(t)}" x2="{self._x(t)}" y1="0" y2="100%"/>' for t in self._marks)

    def _x(self, ns: int) -> str:
        return f"{min(99.75, 100 * ns / max(self.total, 1)):.3f}%"

    def _facts(self, row: Row) -> list[tuple[str, str]]:
        span = row.span
        status = f"{span.status}: {span.status_message}" if span.status_message else span.status
        facts = [("kind", span.kind), ("status", status[:LONGEST]), ("by itself", duration(row.own_ns))]
        if row.skew_ns:
            facts.append(("clock moved by", duration(row.skew_ns)))
        facts += [("span id", span.span_id), ("parent id", span.parent_id or "none: a root")]
        for name, value in list(span.attributes.items())[:ATTRIBUTES]:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            self._shown += min(len(name), LONGEST) + min(len(text), LONGEST)
            if self._shown > SHOWN:
                return [*facts, ("…", "more than a page holds; ask for JSON")]
            facts.append((name[:LONGEST], text if len(text) <= LONGEST else text[:LONGEST] + "…"))
        return facts

    def spent(self) -> str:
        parts, listed, at = [], [], 0.0
        spent = time_spent(self._rows)
        whole = max(sum(spent.values()), 1)
        for place, ns in sorted(spent.items(), key=lambda item: -item[1]):
            look = self.colour(place) if place in self.colours else self.colour(place.partition(" → ")[0]) + " wire"
            width = 100 * ns / whole
            parts.append(f'<rect class="{look}" x="{at:.3f}%" width="{width:.3f}%" height="100%"/>')
            at += width
            listed.append(
                f'<li><svg><rect class="{look}" width="100%" height="100%" rx="2"/></svg>{escape(place)}'
                f'<span class="n">{duration(ns)} · {width:.0f} %</span></li>'
            )
        note = "Pale: on the way between two services. Thin in the waterfall: waiting for what is below."
        return f'<div class="card spent"><svg>{"".join(parts)}</svg><ul>{"".join(listed)}</ul><p class="note">{note}</p></div>'


def _guides(row: Row) -> str:
    levels = row.last[1:]
    if not levels:
        return ""
    above = "".join("<i></i>" if last else '<i class="v"></i>' for last in levels[:-1][-DEEPEST:])
    return f'{"⋯" * (len(levels) > DEEPEST + 1)}{above}<i class="{"l" if levels[-1] else "t"}"></i>'


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _page(title: str, body: str) -> Page:
    template, headers = _template()
    return template.substitute(title=escape(title), body=body).encode(errors="replace"), dict(headers)


@cache
def _template() -> tuple[Template, Mapping[str, Any]]:
    text = (files("observability") / "page.html").read_text(encoding="utf-8")
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Template(text), {"content-security-policy": policy, "referrer-policy": "no-referrer"}
