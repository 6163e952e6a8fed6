"""An agreement as people read it: a table in Markdown, and a sentence for every reason. Pure."""

import math
from collections.abc import Sequence

from loadtests.agreement.ratios import METRICS, TOLERANCE, Agreement, Compared
from loadtests.findings.intervals import Interval

MARKS = {"agrees": "=", "differs": "≠", "cannot tell": "?"}


def markdown(agreements: Sequence[Agreement]) -> str:
    """One table a cell: a line of our own figures, then one a tool, with its ratio to ours and what that says."""
    return "\n\n".join([*(_of_cell(each) for each in agreements), LEGEND]) + "\n"


LEGEND = (
    "Ratios are theirs over ours, of runs side by side in time, with their 95 % interval. "
    f"= agrees within {TOLERANCE:.0%}; ≠ differs; ? too few or too scattered rounds to tell."
)


def sentence(agreement: Agreement, compared: Compared) -> str:
    """One tool's verdict: "k6 agrees in calls/s and mean; differs in p99 (1.12 times locust)"."""
    parts = []
    for finding, says in (
        ("agrees", "agrees in"),
        ("differs", "differs in"),
        ("cannot tell", "the rounds cannot tell about"),
    ):
        named = [
            METRICS[metric]
            + (f" ({compared.ratios[metric].mean:.2f} times {agreement.ours})" if finding == "differs" else "")
            for metric, found in compared.findings.items()
            if found == finding
        ]
        if named:
            parts.append(f"{says} {_joined(named)}")
    return f"{compared.tool} {'; '.join(parts)}"


def _of_cell(agreement: Agreement) -> str:
    lines = [f"**{agreement.cell}**", ""]
    lines += [
        f"| | {' | '.join(METRICS.values())} | generator's CPU a call | rounds |",
        f"|---{'|---' * (len(METRICS) + 2)}|",
    ]
    own = [_value(metric, value) for metric, value in agreement.means.items()]
    lines.append(_line(agreement.ours, own, agreement.cpu_us_per_call, str(next(iter(agreement.means.values())).n)))
    for each in agreement.tools:
        cells = [
            f"{_value(metric, each.means[metric])}, {_ratio(each.ratios[metric])} {MARKS[each.findings[metric]]}"
            for metric in METRICS
        ]
        left_out = f" ({each.left_out} left out: calls failed)" if each.left_out else ""
        lines.append(_line(f"{each.tool} {each.version}", cells, each.cpu_us_per_call, f"{each.rounds}{left_out}"))
    said = [
        f"- {sentence(agreement, each)}" + "".join(f"; {reason}" for reason in each.reasons) + "."
        for each in agreement.tools
    ]
    failed = {agreement.ours: agreement.errors, **{each.tool: each.errors for each in agreement.tools}}
    said += [
        f"- {tool}: failed calls: {', '.join(f'{calls:,} {cause}' for cause, calls in errors.items())}."
        for tool, errors in failed.items()
        if errors
    ]
    said += [f"- {reason}." for reason in agreement.absent.values()]
    return "\n".join([*lines, "", *said])


def _line(name: str, cells: Sequence[str], cpu_us: Interval, rounds: str) -> str:
    cpu = "-" if math.isnan(cpu_us.mean) else f"{cpu_us.mean:,.0f} µs"
    return f"| {name} | {' | '.join(cells)} | {cpu} | {rounds} |"


def _value(metric: str, value: Interval) -> str:
    if math.isnan(value.mean):
        return "-"
    return f"{value.mean:,.0f}" if metric == "throughput" else f"{value.mean / 1e3:.3g} ms"


def _ratio(ratio: Interval) -> str:
    if math.isnan(ratio.mean):
        return "-"
    within = "" if math.isnan(ratio.low) else f" ({ratio.low:.2f} to {ratio.high:.2f})"
    return f"x{ratio.mean:.2f}{within}"


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
