"""How far our figures agree with other people's tools on the same cell, and why not where they differ. Pure.

Rules:
- A round is one run of each tool, side by side in time; a ratio is theirs over ours, pair by pair, with its 95 % interval
  over the rounds (loadtests/findings/intervals.py).
- Two figures agree when the whole interval is within 5 %. They differ when the interval is not, and leaves out 1.
  Otherwise the rounds cannot tell: they are too few, or scatter too much.
- A pair in which more than 1 % of either's calls failed is left out, and said so: it measured something else.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from loadtests.agreement.tools.reasons import Pair, reasons
from loadtests.agreement.tools.result import ToolResult
from loadtests.findings.intervals import Interval, interval, paired_ratio
from loadtests.model.cells import Cell

METRICS: Final = {
    "throughput": "calls/s",
    "mean_us": "mean",
    "p50_us": "p50",
    "p95_us": "p95",
    "p99_us": "p99",
}
TOLERANCE: Final = 0.05
FAILED_MAX: Final = 0.01  # of a run's calls

Finding = Literal["agrees", "differs", "cannot tell"]
Round = Mapping[str, ToolResult]  # by tool


@dataclass(frozen=True, slots=True)
class Compared:
    """One tool against ours. Dictionaries are by METRICS."""

    tool: str
    version: str
    means: dict[str, Interval]  # theirs
    ratios: dict[str, Interval]  # theirs over ours
    findings: dict[str, Finding]
    cpu_us_per_call: Interval
    rounds: int  # that are compared
    left_out: int  # of them, for failed calls
    errors: dict[str, int]  # cause -> calls, of all rounds
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    cell: Cell
    ours: str
    means: dict[str, Interval]
    cpu_us_per_call: Interval
    errors: dict[str, int]
    tools: tuple[Compared, ...]
    absent: dict[str, str] = field(default_factory=dict)  # tool -> why it has no result


def agreement(
    cell: Cell, rounds: Sequence[Round], *, ours: str, cores: int, absent: Mapping[str, str] | None = None
) -> Agreement:
    """What `rounds` say of one cell. ours: the tool that the others are held against; cores: of the machine."""
    own = [each[ours] for each in rounds if ours in each]
    others = sorted({tool for each in rounds for tool in each} - {ours})
    return Agreement(
        cell,
        ours,
        _means(own),
        interval([result.cpu_us_per_call for result in own]),
        _errors(own),
        tuple(
            _compared(cell, [(each[ours], each[tool]) for each in rounds if ours in each and tool in each], cores)
            for tool in others
            if any(ours in each and tool in each for each in rounds)
        ),
        dict(absent or {}),
    )


def finding(ratio: Interval) -> Finding:
    if ratio.low >= 1 / (1 + TOLERANCE) and ratio.high <= 1 + TOLERANCE:
        return "agrees"
    if ratio.low > 1 or ratio.high < 1:
        return "differs"
    return "cannot tell"  # also where the interval is unknown: nan compares as false


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


def _compared(cell: Cell, all_pairs: Sequence[Pair], cores: int) -> Compared:
    pairs = [pair for pair in all_pairs if all(_failed(result) <= FAILED_MAX for result in pair)]
    theirs = [their for _, their in pairs]
    ratios = {
        metric: paired_ratio([getattr(our, metric) for our, _ in pairs], [getattr(their, metric) for their in theirs])
        for metric in METRICS
    }
    findings = {metric: finding(ratio) for metric, ratio in ratios.items()}
    return Compared(
        all_pairs[0][1].tool,
        all_pairs[0][1].version,
        _means(theirs),
        ratios,
        findings,
        interval([their.cpu_us_per_call for their in theirs]),
        len(pairs),
        len(all_pairs) - len(pairs),
        _errors([their for _, their in all_pairs]),
        reasons(
            cell,
            pairs,
            {metric: ratios[metric].mean for metric, found in findings.items() if found == "differs"},
            cores,
        ),
    )


def _means(results: Sequence[ToolResult]) -> dict[str, Interval]:
    return {metric: interval([getattr(result, metric) for result in results]) for metric in METRICS}


def _errors(results: Sequence[ToolResult]) -> dict[str, int]:
    return dict(sum((Counter(result.errors) for result in results), Counter[str]()))


def _failed(result: ToolResult) -> float:
    """The share of failed calls; 1 where none was made."""
    failed = sum(result.errors.values())
    return failed / (failed + result.calls) if failed + result.calls else 1.0


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
