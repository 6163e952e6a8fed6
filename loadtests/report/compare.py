"""Two runs of the benchmark, cell by cell: what became faster, what slower, and where no difference can be told.

Rules: as within a run, a verdict needs intervals that do not overlap and three repetitions on each side. But the runs did not
lie side by side in time, so nothing pairs them: where machine, versions or settings differ, or a control failed, that is
said before any verdict.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loadtests.findings import verdicts, words
from loadtests.findings.intervals import REPETITIONS_MIN, Interval, winner
from loadtests.findings.summaries import MEAN, P99, THROUGHPUT, Metric, Summary
from loadtests.findings.verdicts import Findings
from loadtests.model.cells import Cell
from loadtests.model.runs import Run
from loadtests.report.blocks import Block, Entry, Heading, Notice, Paragraph, Table, grouped
from loadtests.report.markdown import markdown as as_markdown
from loadtests.report.results import read_results
from loadtests.report.terminal import text as as_text

CELLS_MAX: Final = 20  # named in one sentence
DIFFERENCES_MAX: Final = 20
VALUE_MAX: Final = 60  # characters of a setting


def compare_runs(old: Path, new: Path, *, markdown: bool = False, width: int = 0, colour: bool = False) -> str:
    """What changed between the results directories `old` and `new`, for a terminal or as Markdown.

    width: of the terminal, in characters; 0: as wide as it is.

    Raises: UnreadableResults (which names the directory), OSError.
    """
    blocks = list(comparison(_found(old), _found(new)))
    return as_markdown(blocks) if markdown else as_text(blocks, width=width, colour=colour)


def comparison(old: Findings, new: Findings) -> Iterator[Block]:
    yield Heading(f"{words.shown(old.run.id)} against {words.shown(new.run.id)}", 1)
    yield from _doubts(old, new)
    both = [cell for cell in old.summaries if cell in new.summaries]
    if both:
        rows = [row for cell in both for row in _rows(old.summaries[cell], new.summaries[cell])]
        yield Paragraph(_tally([str(row[-1]) for row in rows if row[1] == MEAN.words]))
        columns = ("cell", "metric", "old", "new", "verdict")
        yield Table(columns, grouped(rows), labels=2, by_first=True)
    else:
        yield Paragraph("The two runs have no cell in common.")
    for one, other, name in ((old, new, "old"), (new, old, "new")):
        alone = [str(_title(cell)) for cell in one.summaries if cell not in other.summaries]
        if alone:
            yield Paragraph(f"Only in the {name} run: {words.listed(alone, CELLS_MAX)}.")


def verdict(old: Interval, new: Interval, metric: Metric) -> str:
    """ "1.2 times faster", "1.1 times slower"; for throughput "more" and "less"."""
    if min(old.n, new.n) < REPETITIONS_MIN:
        return "too few repetitions to tell"
    won = winner(old, new, lower_is_better=metric.lower_is_better)
    if not won:
        return "no difference can be told"
    better, worse = ("faster", "slower") if metric.lower_is_better else ("more", "less")
    low, high = sorted((old.mean, new.mean))
    factor = high / low if low > 0 else math.inf
    return f"{words.times(factor)} {better if won == 'b' else worse}"


def _found(directory: Path) -> Findings:
    run, measured = read_results(directory)
    return verdicts.find(run, measured)


def _doubts(old: Findings, new: Findings) -> Iterator[Block]:
    """Why the comparison may mean nothing."""
    for found, name in ((old, "old"), (new, "new")):
        if found.control.failed:
            yield Notice(f"The control of the {name} run failed: do not believe what follows.", "bad")
    differing = [line for kind in ("machine", "versions", "settings") for line in _differing(old.run, new.run, kind)]
    if differing:
        said = words.listed(differing, DIFFERENCES_MAX)
        yield Notice(f"The runs differ in more than the code: {said}. What follows may come from that.", "bad")
    yield Notice(
        "The runs were not interleaved: what slowed the machine down during one of them looks like a difference.",
        "plain",
    )


def _differing(old: Run, new: Run, kind: str) -> Iterator[str]:
    left, right = getattr(old, kind), getattr(new, kind)
    for name in sorted(left.keys() | right.keys()):
        if kind == "versions" and name == "meshlog":
            continue  # that is what is compared
        if left.get(name) != right.get(name):
            was, now = (words.shown(side.get(name, "not said"), VALUE_MAX) for side in (left, right))
            yield f"{words.shown(name, VALUE_MAX)} {was} then, {now} now"


def _rows(old: Summary, new: Summary) -> Iterator[tuple[Entry, ...]]:
    metrics = (MEAN, P99) if old.cell.rate else (MEAN, P99, THROUGHPUT)
    for metric in metrics:
        was, now = old.interval(metric), new.interval(metric)
        form = words.number_interval if metric is THROUGHPUT else words.latency_interval
        yield (_title(old.cell), metric.words, form(was), form(now), verdict(was, now, metric))
    if old.failed or new.failed:
        shares = [words.percent(summary.failed_share) for summary in (old, new)]
        yield (_title(old.cell), "failed calls", *shares, "")


def _title(cell: Cell) -> str:
    return f"{words.sentence(words.load(cell))}, {words.arm(cell)}"


def _tally(verdicts: list[str]) -> str:
    counts = {word: sum(said.endswith(word) for said in verdicts) for word in ("faster", "slower")}
    others = len(verdicts) - sum(counts.values())
    return (
        f"By mean latency, of {words.many(len(verdicts), 'cell')}: the new run is faster at {counts['faster']:,}, "
        f"slower at {counts['slower']:,}; at {others:,} no difference can be told."
    )
