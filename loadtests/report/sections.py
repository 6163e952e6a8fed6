"""The report: what it says, and in which order. Verdicts first, then what they stand on.

Rule: a section without anything to show is left out; what was planned and not measured is said.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from loadtests.agreement.ratios import Agreement
from loadtests.findings import sentences as in_words
from loadtests.findings import words
from loadtests.findings.intervals import REPETITIONS_MIN
from loadtests.findings.verdicts import Findings
from loadtests.model.runs import Run
from loadtests.report import agreement, charts, hops, original, tables
from loadtests.report.blocks import Block, Entry, Figure, Figures, Heading, Notice, Paragraph, Points, Table

STATEMENTS_MAX: Final = 200  # of each kind
FACTS_MAX: Final = 60  # of the machine, the versions and the settings, each

METHOD: Final = (
    (
        "Loops.",
        "In a closed loop each user calls when its last call is answered. In an open loop calls are due at a constant rate, "
        "and latency counts from when a call was due, so that a server that stalls cannot hide it (coordinated omission).",
    ),
    (
        "Order.",
        "Every repetition measures all cells once, in random order from the seed, never two at a time: what slows the "
        "machine for a while slows both sides. What is measured while a run warms up is thrown away.",
    ),
    (
        "Intervals.",
        "All intervals are 95 %, Student's t over repetitions, not over calls: calls of one run are not independent. "
        "Ratios are means of pairs that lay side by side in time, on the logarithm.",
    ),
    (
        "Verdicts.",
        f"A winner is named only where the two intervals do not overlap, and never from fewer than {REPETITIONS_MIN} "
        "repetitions. Throughput is no verdict in an open loop, where it is given.",
    ),
    (
        "Latencies.",
        "Those of answered calls, as the client sees them, in HDR histograms of microseconds with three significant digits. "
        "Means are exact. Failed calls are counted apart, by cause.",
    ),
    (
        "Voided runs.",
        "A run in which the generator or something else was the bottleneck does not count, and is listed.",
    ),
    (
        "What is not claimed.",
        "This is one machine, and the generator runs on the cores that it measures: figures compare arms with each other "
        "and are no capacity of anything. Nothing is said of networks between machines, of other languages, or of "
        "other work than these services do.",
    ),
)


def report(findings: Findings, check: tuple[Run, Sequence[Agreement]] | None = None) -> Iterator[Block]:
    """check: of the same generator against other people's tools, if there was one."""
    yield Heading("gRPC and REST, compared", 1)
    yield Paragraph(_about(findings))
    yield from _verdicts(findings)
    yield from _results(findings)
    yield from hops.section(findings.accounts)
    yield from _resources(findings)
    yield from _original(findings)
    yield from _with_figures("Open loop", charts.open_loop(findings), _OPEN_LOOP)
    yield from _with_figures(
        "Factors", charts.factors(findings), "Mean latency where one thing was varied and all else stayed."
    )
    yield from _uncounted(findings)
    if check:
        yield from agreement.section(*check, beside=findings.run)
    yield from _setting(findings)
    yield Heading("How it was measured")
    yield Points(METHOD)


_OPEN_LOOP: Final = (
    "Latency from the moment a call was due. Where a curve bends upwards, calls come faster than they are answered."
)


def _about(findings: Findings) -> str:
    run = findings.run
    begun = datetime.fromtimestamp(run.begun_at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
    counted = sum(len(summary.runs) for summary in findings.summaries.values())
    return (
        f"Run {words.shown(run.id)} ({words.shown(run.kind)}), begun {begun}: {words.many(len(findings.summaries), 'cell')}, "
        f"{words.many(counted, 'run')} that count, {findings.voided:,} voided; "
        f"revision {words.shown(run.git_revision) or 'unknown'}, seed {run.seed}."
    )


def _verdicts(findings: Findings) -> Iterator[Block]:
    control = findings.control
    tone = "bad" if control.failed else "good" if control.judged else "plain"
    yield Notice(in_words.control_in_words(control), tone)
    yield Heading("Verdicts")
    yield Paragraph(in_words.tally(findings))
    figures = charts.verdicts(findings)
    if figures:
        yield Figures(tuple(figures))
    main = [in_words.statement(comparison, findings.accounts) for comparison in findings.main]
    others = [in_words.statement(comparison) for comparison in findings.comparisons if not comparison.is_main]
    for title, statements in (("gRPC against REST", main), ("What else was compared", others)):
        if statements:
            yield Heading(title, 3)
            yield Points(tuple((f"{said.about}.", said.said) for said in statements[:STATEMENTS_MAX]))
            if len(statements) > STATEMENTS_MAX:
                yield Paragraph(f"And {len(statements) - STATEMENTS_MAX:,} more, in the tables.")


def _results(findings: Findings) -> Iterator[Block]:
    yield Heading("Results")
    yield Paragraph("Means over repetitions; behind ± half of the 95 % interval.")
    yield tables.results(findings)


def _resources(findings: Findings) -> Iterator[Block]:
    found = [table for table in (tables.cpu(findings), tables.memory(findings)) if table]
    if found:
        yield Heading("Resources")
        yield Paragraph("Of all processes of a kind together. The generator's own are not in the sum.")
        yield Figures(tuple(charts.costs(findings)))
        yield from found


def _original(findings: Findings) -> Iterator[Block]:
    yield Heading("Beside the original report")
    yield Paragraph(f"{original.SOURCE}. Its journey is a greeting from A, then ten numbers 5 ms apart from B.")
    figures = charts.ramp(findings)
    if figures:
        yield Figures(tuple(figures))
    yield tables.original_beside_ours(findings)
    yield Paragraph("What is odd in it:")
    yield Points(original.oddities())


def _uncounted(findings: Findings) -> Iterator[Block]:
    errors, voided = tables.errors(findings), tables.voided(findings)
    if errors:
        yield Heading("Failed calls")
        yield errors
    if voided:
        yield Heading("Voided runs")
        yield Paragraph("They count for nothing above.")
        yield voided
    if findings.unmeasured:
        cells = [f"{words.arm(cell)}, {words.load(cell)}" for cell in findings.unmeasured]
        yield Heading("Not measured")
        yield Paragraph(f"Planned, but no run was kept: {words.listed(cells, 20)}.")


def _setting(findings: Findings) -> Iterator[Block]:
    run = findings.run
    yield Heading("Machine, versions, settings")
    own = {
        "run": run.id,
        "kind": run.kind,
        "mesh": run.mesh,
        "git revision": run.git_revision or "unknown",
        "seed": str(run.seed),
        "repetitions asked for": str(run.repetitions),
        "window": f"{words.number(run.window_seconds)} s, after {words.number(run.warmup_seconds)} s of warm-up",
    }
    rows: list[tuple[Entry, ...]] = []
    for kind, facts in (("run", own), ("machine", run.machine), ("versions", run.versions), ("settings", run.settings)):
        rows += [
            (kind if not place else "", words.shown(name), words.shown(value, 300))
            for place, (name, value) in enumerate(list(facts.items())[:FACTS_MAX])
        ]
    yield Table(("of", "what", "value"), tuple(rows), labels=3, by_first=True)


def _with_figures(title: str, figures: list[Figure], said: str) -> Iterator[Block]:
    if figures:
        yield Heading(title)
        yield Paragraph(said)
        yield Figures(tuple(figures))
