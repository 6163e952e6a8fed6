"""How far other people's tools agree with our generator: a section of the report, and the report of a check.

Rule: what is odd about a comparison stands beside its figures: rounds left out, calls that failed, tools that could not run.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from loadtests.agreement.ratios import METRICS, TOLERANCE, Agreement, Compared, sentence
from loadtests.findings import words
from loadtests.findings.intervals import Interval
from loadtests.model.runs import Run
from loadtests.report.blocks import Block, Entry, Heading, Notice, Paragraph, Points, Table

VERSION_MAX: Final = 20  # characters
MARKS: Final = {"agrees": "=", "differs": "≠", "cannot tell": "?"}
LEGEND: Final = (
    "The same closed-loop cells, run by each tool in turn. Ratios are theirs over ours, of runs side by side in time, with "
    f"their 95 % interval. = agrees within {TOLERANCE:.0%}; ≠ differs; ? too few or too scattered rounds to tell."
)


def page(run: Run, agreements: Sequence[Agreement]) -> Iterator[Block]:
    """Of a check by itself."""
    yield Heading("Our load generator beside other people's tools", 1)
    yield Paragraph(f"{_about(run)}.")
    yield from _cells(agreements, level=2)


def section(run: Run, agreements: Sequence[Agreement], beside: Run) -> Iterator[Block]:
    """Of the report of `beside`, a run of the benchmark with the same generator."""
    yield Heading("Checked against other people's tools")
    yield Paragraph(f"{_about(run)}.")
    if run.git_revision != beside.git_revision:
        yield Notice("The check was made with another revision than this run.", "plain")
    yield from _cells(agreements, level=3)


def _about(run: Run) -> str:
    begun = datetime.fromtimestamp(run.begun_at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"Check {words.shown(run.id)}, begun {begun}: {words.many(run.repetitions, 'round')} of "
        f"{words.number(run.window_seconds)} s; revision {words.shown(run.git_revision) or 'unknown'}, seed {run.seed}"
    )


def _cells(agreements: Sequence[Agreement], level: int) -> Iterator[Block]:
    yield Paragraph(LEGEND)
    for agreement in agreements:
        cell = agreement.cell
        yield Heading(f"{words.sentence(words.load(cell))}, {words.arm(cell)}", level)
        yield _table(agreement)
        yield Points(tuple(_remarks(agreement)))


def _table(agreement: Agreement) -> Table:
    """A row a figure; of each other tool what it found and, beside it, its ratio to ours."""
    columns = ["", agreement.ours]
    for each in agreement.tools:
        columns += [f"{each.tool} {words.shown(each.version, VERSION_MAX)}", "theirs / ours"]
    rows = [_row(agreement, metric) for metric in METRICS]
    rows.append(
        (
            "generator's CPU a call",
            _cpu(agreement.cpu_us_per_call),
            *_beside([_cpu(each.cpu_us_per_call) for each in agreement.tools]),
        )
    )
    rows.append(("rounds", str(agreement.means["throughput"].n), *_beside([_rounds(each) for each in agreement.tools])))
    return Table(tuple(columns), tuple(rows))


def _row(agreement: Agreement, metric: str) -> tuple[Entry, ...]:
    found = [METRICS[metric], _value(metric, agreement.means[metric])]
    for each in agreement.tools:
        found += [_value(metric, each.means[metric]), f"{_ratio(each.ratios[metric])} {MARKS[each.findings[metric]]}"]
    return tuple(found)


def _beside(values: Sequence[str]) -> Iterator[str]:
    for value in values:
        yield from (value, "")


def _rounds(each: Compared) -> str:
    return f"{each.rounds}{f' ({each.left_out} left out: calls failed)' if each.left_out else ''}"


def _remarks(agreement: Agreement) -> Iterator[tuple[str, str]]:
    for each in agreement.tools:
        yield "", f"{'; '.join([sentence(agreement, each), *each.reasons])}."
    failed = {agreement.ours: agreement.errors, **{each.tool: each.errors for each in agreement.tools}}
    for tool, errors in failed.items():
        if errors:
            yield "", f"{tool}: failed calls: {', '.join(f'{calls:,} {cause}' for cause, calls in errors.items())}."
    for reason in agreement.absent.values():
        yield "", f"{reason}."


def _cpu(us: Interval) -> str:
    return "-" if math.isnan(us.mean) else f"{us.mean:,.0f} µs"


def _value(metric: str, value: Interval) -> str:
    if math.isnan(value.mean):
        return "-"
    return f"{value.mean:,.0f}" if metric == "throughput" else f"{value.mean / 1e3:.3g} ms"


def _ratio(ratio: Interval) -> str:
    if math.isnan(ratio.mean):
        return "-"
    within = "" if math.isnan(ratio.low) else f" ({ratio.low:.2f} to {ratio.high:.2f})"
    return f"{ratio.mean:.2f}{within}"
