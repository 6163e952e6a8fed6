"""Findings as tables: one row an arm under a load, one unit a column. Pure.

Rules: a figure is a mean over repetitions with half its 95 % interval behind "±"; all figures of a column have the same
number of decimals, so that they can be compared by eye; long lists are cut, and the cut is said.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from loadtests.findings import words
from loadtests.findings.intervals import Interval
from loadtests.findings.summaries import CAUSES_MAX, MEAN, P50, P90, P99, THROUGHPUT, UNKNOWN, Summary
from loadtests.findings.verdicts import Findings
from loadtests.model.cells import Cell
from loadtests.report import original
from loadtests.report.blocks import Entry, Estimate, Table, grouped

KINDS: Final = ("edge", "sidecar", "workload", "gateway", "journal", "control-plane", "sink")  # others follow
KINDS_MAX: Final = 12
REASONS_MAX: Final = 100  # rows of voided runs, and of errors
MS: Final = 1_000.0  # microseconds


def estimates(summaries: Sequence[Summary], of: Callable[[Summary], Interval], unit: float = 1.0) -> list[Estimate]:
    """A column: within one load as many decimals as its smallest figure needs for three digits."""
    smallest: dict[Cell, float] = {}
    for summary in summaries:
        size = abs(of(summary).mean) / unit
        if math.isfinite(size) and size > 0:
            question = summary.cell.question
            smallest[question] = min(size, smallest.get(question, size))
    return [estimate(of(s), unit, _decimals(smallest.get(s.cell.question, 100.0))) for s in summaries]


def estimate(of: Interval, unit: float, decimals: int) -> Estimate:
    if not math.isfinite(of.mean):
        return Estimate(words.UNKNOWN)
    decimals = 0 if abs(of.mean) / unit >= 1_000 else decimals  # beside figures of another size
    spread = f"{of.half_width / unit:,.{decimals}f}" if math.isfinite(of.half_width) else ""
    return Estimate(f"{round(of.mean / unit, decimals) + 0.0:,.{decimals}f}", spread)  # never -0.00


def _decimals(smallest: float) -> int:
    return 0 if smallest >= 99.5 else 1 if smallest >= 9.95 else 2 if smallest >= 0.0995 else 3


def results(findings: Findings) -> Table:
    """The main table."""
    summaries = list(findings.summaries.values())
    columns = [estimates(summaries, lambda s: s.interval(THROUGHPUT))]
    columns += [estimates(summaries, partial(Summary.interval, metric=metric), MS) for metric in (MEAN, P50, P90, P99)]
    ends = [_failed(summary) for summary in summaries], [_runs(summary) for summary in summaries]
    titles = ("load", "arm", "calls/s", "mean, ms", "p50, ms", "p90, ms", "p99, ms", "failed calls", "runs")
    return Table(titles, _by_arm(summaries, [*columns, *ends]), labels=2, by_first=True)


def cpu(findings: Findings) -> Table | None:
    summaries = [summary for summary in findings.summaries.values() if summary.cpu_us]
    kinds = [kind for kind in _kinds(summaries) if kind != "generator"]
    if not kinds:
        return None
    columns = [estimates(summaries, partial(_of_kind, "cpu_us", kind)) for kind in kinds]
    columns.append(estimates(summaries, lambda summary: summary.cpu_us_whole))
    titles = ("load", "arm", *(words.shown(kind, 30) for kind in kinds), "all")
    return Table(
        titles, _by_arm(summaries, columns), labels=2, by_first=True, caption="CPU time in µs for each answered call"
    )


def memory(findings: Findings) -> Table | None:
    summaries = [summary for summary in findings.summaries.values() if summary.pss_mb]
    kinds = _kinds(summaries)
    if not kinds:
        return None
    columns = [estimates(summaries, partial(_of_kind, "pss_mb", kind)) for kind in kinds]
    titles = ("load", "arm", *(words.shown(kind, 30) for kind in kinds))
    return Table(
        titles,
        _by_arm(summaries, columns),
        labels=2,
        by_first=True,
        caption="Memory (PSS) in MB at the end of the window",
    )


def errors(findings: Findings) -> Table | None:
    rows: list[tuple[Entry, ...]] = []
    for summary in findings.summaries.values():
        causes = list(summary.errors.items())
        head = (words.sentence(words.load(summary.cell)), words.arm(summary.cell))
        rows += [(*head, words.shown(cause), f"{calls:,}") for cause, calls in causes[:CAUSES_MAX]]
        more = causes[CAUSES_MAX:]
        if more:
            rows.append((*head, f"{len(more):,} other causes", f"{sum(calls for _, calls in more):,}"))
    return _cut(("load", "arm", "cause", "calls"), rows)


def voided(findings: Findings) -> Table | None:
    rows: list[tuple[Entry, ...]] = []
    for summary in findings.summaries.values():
        head = (words.sentence(words.load(summary.cell)), words.arm(summary.cell))
        rows += [(*head, words.shown(reason), f"{repetition:,}") for repetition, reason in summary.voided]
    return _cut(("load", "arm", "why it does not count", "repetition"), rows)


def original_beside_ours(findings: Findings) -> Table:
    """Table 4 as printed; our figures of the same journey and load behind each of its own."""
    mean = {path: ours(findings, path) for path in ("grpc", "rest")}
    rows: list[tuple[Entry, ...]] = []
    for row in original.TABLE_4:
        users, grpc_mean, rest_mean, grpc_throughput, rest_throughput = original.as_printed(row)
        grpc, rest = mean["grpc"].get(row.users), mean["rest"].get(row.users)
        pair = [f"{_latency(grpc)}", f"{_latency(rest)}", f"{_throughput(grpc)}", f"{_throughput(rest)}"]
        rows.append((users, grpc_mean, pair[0], rest_mean, pair[1], grpc_throughput, pair[2], rest_throughput, pair[3]))
    titles = ("users", "gRPC mean (ms)", "ours", "REST mean (s)", "ours", "gRPC req/s", "ours", "REST req/s", "ours")
    return Table(titles, tuple(rows), labels=0, caption="Table 4 as printed, and this run's figures")


def ours(findings: Findings, path: str) -> dict[int, Summary]:
    """Users -> what this run measured of the original report's journey."""
    cells = {users: Cell(path, "report", users) for users in {row.users for row in original.TABLE_4}}
    return {users: findings.summaries[cell] for users, cell in cells.items() if cell in findings.summaries}


def _by_arm(summaries: Sequence[Summary], columns: Iterable[Sequence[Entry]]) -> tuple[tuple[Entry, ...], ...]:
    heads = [(words.sentence(words.load(s.cell)), words.arm(s.cell)) for s in summaries]
    return grouped([(*head, *figures) for head, figures in zip(heads, zip(*columns, strict=True), strict=True)])


def _cut(titles: tuple[str, ...], rows: list[tuple[Entry, ...]]) -> Table | None:
    if not rows:
        return None
    caption = f"{REASONS_MAX:,} of {len(rows):,}; raw.parquet has them all" if len(rows) > REASONS_MAX else ""
    return Table(titles, grouped(rows[:REASONS_MAX]), labels=3, by_first=True, caption=caption)


def _kinds(summaries: Iterable[Summary]) -> list[str]:
    seen = {kind for summary in summaries for kind in (*summary.cpu_us, *summary.pss_mb)}
    return sorted(seen, key=lambda kind: (KINDS.index(kind) if kind in KINDS else len(KINDS), kind))[:KINDS_MAX]


def _of_kind(figure: str, kind: str, summary: Summary) -> Interval:
    by_kind: dict[str, Interval] = getattr(summary, figure)
    return by_kind.get(kind, UNKNOWN)


def _failed(summary: Summary) -> str:
    return f"{summary.failed:,} ({words.percent(summary.failed_share)})" if summary.failed else "0"


def _runs(summary: Summary) -> str:
    voided = f" ({len(summary.voided):,} voided)" if summary.voided else ""
    return f"{len(summary.runs):,}{voided}"


def _latency(summary: Summary | None) -> str:
    return words.latency(summary.interval(MEAN).mean) if summary else words.UNKNOWN


def _throughput(summary: Summary | None) -> str:
    return words.number(summary.interval(THROUGHPUT).mean) if summary else words.UNKNOWN
