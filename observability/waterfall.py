"""Draws a trace in the terminal: who called whom on the left, when each was at work on the right.

Rules: nothing that a sender wrote reaches the terminal as a control character; a narrow terminal shortens names,
never figures; without colour it still says everything.
"""

from collections.abc import Iterable, Iterator

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from observability.document import extent, services_of, timestamp
from observability.duration import duration, rounded, ticks
from observability.spans import Span
from observability.tree import Row, rows, time_spent, tree

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta", "bright_blue")
ERROR = "red"  # no service has it
WORK, WAIT, WIRE = "█", "─", "░"  # a service itself; it waits for what is below; on the way between two services
FIGURES = 9  # columns of a duration, its gap included: " 6.42 ms"
NARROWEST = 50  # below that, lines are cut off at the right
DEEPEST = 8  # levels that are drawn; what is deeper hangs on an ellipsis
NOTES = 5  # failures that are told with their reasons
LONGEST = 500  # characters of a reason
PLACES = 8  # of "where the time went", the longest ones


def render(spans: Iterable[Span]) -> RenderableType:
    """The waterfall of one trace. Raises: ValueError when there are no spans."""
    return Waterfall(spans)


class Waterfall:
    """One trace, laid out anew for every width that it is asked for."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._tree = tree(spans)
        self._rows = rows(self._tree)
        self._begin, self._end = extent(self._rows)
        services = services_of(self._rows)
        self._colours = {service: COLOURS[n % len(COLOURS)] for n, service in enumerate(services)}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(NARROWEST, options.max_width)
        for line in (*self._header(), Text(), *self._chart(width), Text(), *self._where_the_time_went(width)):
            line.no_wrap, line.overflow = True, "ellipsis"
            yield line
        yield from self._notes()

    def _header(self) -> Iterator[Text]:
        first = self._rows[0].span
        spans, services = len(self._rows), len(self._colours)
        yield Text.assemble("trace ", (first.trace_id, "bold"), "  ", timestamp(self._begin))
        yield Text.assemble(
            (printable(first.name), "bold"),
            " at ",
            (printable(first.service), self._colours[first.service]),
            ": ",
            (duration(self._end - self._begin), "bold"),
            f", {spans} span{'s' * (spans > 1)} of {services} service{'s' * (services > 1)}",
        )

    def _chart(self, width: int) -> Iterator[Text]:
        labels = [self._label(row) for row in self._rows]
        left = min(max(label.cell_len for label in labels) + 2, (width - 2 * FIGURES) * 3 // 5)
        middle = width - left - 2 * FIGURES
        yield self._axis(left, middle)
        said_adrift = False
        for row, label in zip(self._rows, labels, strict=True):
            if row.adrift and not said_adrift:
                said_adrift = True
                yield Text("parent not here:", style="yellow")
            label.truncate(left - 2, overflow="ellipsis", pad=True)
            begin = duration(row.start_ns - self._begin)
            figures = f"{begin:>{FIGURES}}{duration(row.duration_ns):>{FIGURES}}"
            yield Text.assemble(label, "  ", self._bar(row, middle), (figures, ERROR if failed(row) else ""))

    def _label(self, row: Row) -> Text:
        levels = row.last[1:]
        guides = "".join("  " if last else "│ " for last in levels[:-1][-DEEPEST:])
        guides = ("⋯ " if len(levels) > DEEPEST + 1 else "") + guides
        if levels:
            guides += "└ " if levels[-1] else "├ "
        return Text.assemble(
            (guides, "dim"),
            ("✗ " if failed(row) else "", ERROR),
            (printable(row.span.service), self._colours[row.span.service]),
            " ",
            (printable(row.span.name), ERROR if failed(row) else ""),
        )

    def _axis(self, left: int, width: int) -> Text:
        total = self._end - self._begin
        marks = ""
        for tick in ticks(total, width // 6):
            at, label = tick * width // max(total, 1), rounded(tick)
            if (not marks or at > len(marks)) and at + len(label) <= width:
                marks = marks.ljust(at) + label
        return Text.assemble(
            " " * left, (marks.ljust(width), "dim"), (f"{'begins':>{FIGURES}}{'takes':>{FIGURES}}", "dim")
        )

    def _bar(self, row: Row, width: int) -> Text:
        total = max(self._end - self._begin, 1)
        first = min((row.start_ns - self._begin) * width // total, width - 1)
        end = max(first + 1, -(-(row.end_ns - self._begin) * width // total))
        own = WORK if row.place == row.span.service else WIRE
        cells = "".join(
            own if self._is_own(row, self._begin + n * total // width, self._begin + (n + 1) * total // width) else WAIT
            for n in range(first, end)
        )
        style = ERROR if failed(row) else self._colours[row.span.service]
        return Text.assemble(" " * first, (cells, style), " " * (width - end))

    def _is_own(self, row: Row, begin: int, end: int) -> bool:
        """Was it at work itself for at least half of what it has of this cell?"""
        there = min(end, row.end_ns) - max(begin, row.start_ns)
        return 2 * sum(max(0, min(end, e) - max(begin, b)) for b, e in row.own) >= there

    def _where_the_time_went(self, width: int) -> Iterator[Text]:
        spent = sorted(time_spent(self._rows).items(), key=lambda item: -item[1])[:PLACES]
        total = max(self._end - self._begin, 1)
        left = min(max(cell_len(printable(place)) for place, _ in spent), width // 2)
        bar = max(8, width - left - 2 * FIGURES - 2)
        yield Text(f"where the time went: {WORK} at work, {WIRE} on the way ({WAIT} waits for what is below)", "dim")
        for place, ns in spent:
            name = Text(printable(place), style=self._colours.get(place, "dim"))
            name.truncate(left, overflow="ellipsis", pad=True)
            cells = (WORK if place in self._colours else WIRE) * min(bar, round(ns * bar / total))
            share = f"{ns / total:.0%}"
            yield Text.assemble(
                name, f"{duration(ns):>{FIGURES}}{share:>{FIGURES - 3}}  ", (cells, self._colours.get(place, "dim"))
            )

    def _notes(self) -> Iterator[Text]:
        """What the picture cannot say: why something failed, what is missing, whose clock is off."""
        failures = [row.span for row in self._rows if failed(row)]
        for span in failures[:NOTES]:
            what, why = f"{printable(span.service)} {printable(span.name)}", printable(span.status_message[:LONGEST])
            yield Text.assemble(("✗ ", ERROR), what, (f": {why}" if why else " failed, and gave no reason", ERROR))
        if len(failures) > NOTES:
            yield Text(f"✗ and {len(failures) - NOTES} more", style=ERROR)
        if missing := sorted({span.parent_id for span in self._tree.adrift}):
            yield Text(f"! not all here: no span {', '.join(missing[:3])}{' …' * (len(missing) > 3)}", style="yellow")
        skews = {row.span.service: row.skew_ns for row in self._rows if row.skew_ns}
        for service, skew in list(skews.items())[:NOTES]:
            word = "behind" if skew > 0 else "ahead"
            yield Text(
                f"! the clock of {printable(service)} is {duration(abs(skew))} {word}; its spans were moved", "yellow"
            )


def failed(row: Row) -> bool:
    return row.span.status == "error"


def printable(text: str) -> str:
    """`text` on one line, fit for a terminal: no escape sequences, nothing that turns the writing around."""
    return "".join(c if c.isprintable() else "·" for c in text)
