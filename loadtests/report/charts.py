"""Findings as figures: which curves, ratios and stacks are worth a picture, and how many. Pure but for the drawing itself.

Rule: a figure has a title that says what is seen; where there is nothing to see there is no figure.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from loadtests.findings import words
from loadtests.findings.intervals import Interval
from loadtests.findings.summaries import MEAN, P50, P99, THROUGHPUT, Metric, Summary
from loadtests.findings.verdicts import Findings
from loadtests.model.cells import Cell
from loadtests.report import original, pictures
from loadtests.report.blocks import Figure
from loadtests.report.pictures import Curve, Ratio, Stack
from loadtests.report.tables import ours

FIGURES_MAX: Final = 8  # of one kind
FACTORS: Final = {  # field of a cell -> what it is called on an axis
    "payload_bytes": "payload, bytes",
    "count": "numbers in the stream",
    "delay_ms": "pause between numbers, ms",
    "reuse": "connections",
    "http": "protocol of the client",
}


def verdicts(findings: Findings) -> list[Figure]:
    """The ratio of gRPC's mean latency to REST's, under every load."""
    several = []
    for comparison in findings.main:
        verdict = comparison.verdicts.get(MEAN.name)
        if verdict:
            of, winner = verdict.ratio, comparison.winner()
            flipped = Interval(1 / of.mean, 1 / of.high, 1 / of.low, of.n) if of.mean > 0 and of.high != 0 else of
            label = words.sentence(words.load(comparison.question))
            several.append(Ratio(label, flipped, winner.path if winner else ""))
    if not several:
        return []
    draw = partial(pictures.ratios, "How many times faster", several, left="gRPC is faster", right="REST is faster")
    return [
        Figure(
            "Mean latency of the two paths, one over the other; hollow where no difference can be told", draw, wide=True
        )
    ]


def ramp(findings: Findings) -> list[Figure]:
    """The original report's two figures, with ours in them."""
    paths = [path for path in ("grpc", "rest") if ours(findings, path)]
    if not paths:
        return []
    rows = original.TABLE_4
    theirs: dict[str, tuple[Mapping[float, Interval], Mapping[float, Interval]]] = {
        "grpc": (
            {row.users: _exact(row.grpc_mean_ms * 1e3) for row in rows},
            {row.users: _exact(row.grpc_throughput) for row in rows},
        ),
        "rest": (
            {row.users: _exact(row.rest_mean_ms * 1e3) for row in rows},
            {row.users: _exact(row.rest_throughput) for row in rows},
        ),
    }
    figures = []
    kinds = (
        (MEAN, "Mean response time", "mean of a call", True),
        (THROUGHPUT, "Requests per second", "calls/s", False),
    )
    for place, (metric, title, of, latencies) in enumerate(kinds):
        several = [_curve(words.ARMS[path], path, ours(findings, path), metric) for path in paths]
        several += [Curve(f"{words.ARMS[path]}, original", path, theirs[path][place], dashed=True) for path in paths]
        draw = partial(pictures.curves, title, several, over="users", of=of, latencies=latencies)
        figures.append(Figure(f"{title} over users", draw))
    return figures


def open_loop(findings: Findings) -> list[Figure]:
    """Latency from the intended start, over the rate of calls."""
    groups: dict[Cell, dict[str, dict[float, Summary]]] = {}
    for cell, summary in findings.summaries.items():
        if cell.rate and not cell.variant:
            group = replace(cell.question, rate=0.0, users=0)
            groups.setdefault(group, {}).setdefault(cell.path, {})[cell.rate] = summary
    figures = []
    for group, paths in groups.items():
        for metric in (P50, P99):
            several = [_curve(words.arm(Cell(path, "", 0)), path, points, metric) for path, points in paths.items()]
            subject = words.sentence(words.load(group).partition(" at ")[0])
            title = f"{subject}, open loop: {metric.words} over the rate of calls"
            draw = partial(pictures.curves, title, several, over="calls/s due", of=metric.words)
            figures.append(Figure(title, draw))
    return figures[:FIGURES_MAX]


def factors(findings: Findings) -> list[Figure]:
    """Mean latency over each factor that was varied while all else stayed."""
    figures = []
    for factor, called in FACTORS.items():
        groups: dict[Cell, dict[str, dict[object, Summary]]] = {}
        for cell, summary in findings.summaries.items():
            if not cell.variant and not cell.rate:
                group = replace(cell.question, **{factor: getattr(_USUAL, factor)})
                groups.setdefault(group, {}).setdefault(cell.path, {})[getattr(cell, factor)] = summary
        for group, paths in groups.items():
            values = sorted(
                {value for points in paths.values() for value in points}, key=lambda value: (str(type(value)), value)
            )
            if len(values) > 1:
                varied = {path: points for path, points in paths.items() if len(points) > 1}
                figures.append(_factor(factor, called, group, values, varied))
    return figures[:FIGURES_MAX]


def costs(findings: Findings) -> list[Figure]:
    """CPU time of a call by kind of process: of each journey, under the load that most arms were measured at."""
    questions: dict[Cell, list[Summary]] = {}
    for summary in findings.summaries.values():
        if summary.cpu_us and not summary.cell.rate and not summary.cell.variant:
            questions.setdefault(summary.cell.question, []).append(summary)
    figures = []
    for journey in dict.fromkeys(question.journey for question in questions):
        of_journey = {question: arms for question, arms in questions.items() if question.journey == journey}
        question = max(of_journey, key=lambda question: len(of_journey[question]))
        several = [Stack(words.arm(s.cell), _cpu_parts(s)) for s in of_journey[question]]
        title = f"{words.sentence(words.load(question))}: CPU time of a call"
        figures.append(Figure(title, partial(pictures.stacks, title, several, of="CPU time")))
    return figures[:FIGURES_MAX]


_USUAL: Final = Cell("", "", 0)


def _factor(
    factor: str, called: str, group: Cell, values: list[object], paths: Mapping[str, Mapping[object, Summary]]
) -> Figure:
    numeric = factor in ("payload_bytes", "count", "delay_ms")
    place: Callable[[object], float] = float if numeric else lambda value: float(values.index(value))  # type: ignore[assignment]
    several = [
        _curve(words.arm(Cell(path, "", 0)), path, {place(value): summary for value, summary in points.items()}, MEAN)
        for path, points in paths.items()
    ]
    steps = () if numeric else [_step(factor, value) for value in values]
    title = f"{_all_but(factor, group)}: mean over {called.partition(',')[0]}"
    return Figure(title, partial(pictures.curves, title, several, over=called, of="mean of a call", steps=steps))


def _all_but(factor: str, group: Cell) -> str:
    """What stayed while `factor` was varied."""
    named = words.load(replace(group, count=_USUAL.count, delay_ms=_USUAL.delay_ms))
    if factor == "payload_bytes":
        named = named.replace(f" of {_USUAL.payload_bytes:,} B", "")
    elif factor == "count":
        named += f", {group.delay_ms:,} ms apart"
    elif factor == "delay_ms":
        named += f", {words.many(group.count, 'number')}"
    return words.sentence(named)


def _step(factor: str, value: object) -> str:
    if factor == "reuse":
        return "kept" if value else "one a call"
    return f"HTTP/{words.shown(str(value), 10)}"


def _cpu_parts(summary: Summary) -> dict[str, float]:
    known = {kind: of.mean for kind, of in summary.cpu_us.items() if kind != "generator" and math.isfinite(of.mean)}
    return {words.shown(kind, 30): us for kind, us in known.items()}


def _curve(label: str, path: str, points: Mapping[float, Summary] | Mapping[int, Summary], metric: Metric) -> Curve:
    return Curve(label, path, {float(x): summary.interval(metric) for x, summary in points.items()})


def _exact(value: float) -> Interval:
    return Interval(value, math.nan, math.nan, 1)
