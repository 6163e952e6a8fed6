"""Findings in words with figures, in the order in which they are to be read. Pure.

Rules: the control speaks first, loudly where it failed; every claim has its figures and intervals beside it; "no difference
can be told" is a result and is said as one.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from loadtests.findings import words
from loadtests.findings.accounts import Account
from loadtests.findings.causes import causes
from loadtests.findings.control import SHARE_MIN, Control
from loadtests.findings.intervals import REPETITIONS_MIN, Interval, Verdict
from loadtests.findings.summaries import MEAN, P50, P99, THROUGHPUT, Metric, Summary
from loadtests.findings.verdicts import Comparison, Findings, find
from loadtests.model.measurements import Measurement
from loadtests.model.runs import Run

CAUSES_MAX = 3  # of errors or of voided runs, told in one sentence
DIFFERING_MAX = 5  # pairs of the control


@dataclass(frozen=True, slots=True)
class Statement:
    """One finding: what it is about, and what is said of it."""

    about: str
    said: str

    def __str__(self) -> str:
        return f"{self.about}: {self.said}"


def sentences(run: Run, measurements: Iterable[Measurement]) -> list[str]:
    """Everything, for a terminal: the control, the tally, then each comparison. Raises: UnreadableResults."""
    findings = find(run, measurements)
    said = [control_in_words(findings.control), tally(findings)]
    return [*said, *(str(statement(comparison, findings.accounts)) for comparison in findings.comparisons)]


def control_in_words(control: Control) -> str:
    if not control.asked:
        return "There was no control: nothing was measured twice, so nothing shows how much this machine differs from itself."
    if not control.judged:
        return (
            "The control says nothing: the path that was measured twice has fewer than "
            f"{REPETITIONS_MIN} repetitions that count on both sides."
        )
    counts = (
        f"{control.pairs.equal:,} of {control.pairs.made:,} comparisons of a path with itself and "
        f"{words.percent(control.splits.share)} of {control.splits.made:,} random splits showed no difference "
        f"(at least {words.percent(SHARE_MIN)} must)"
    )
    if not control.failed:
        return f"The control holds: {counts}."
    differing = f" It differed in: {words.listed(list(control.differing), DIFFERING_MAX)}." if control.differing else ""
    return f"THE CONTROL FAILED: DO NOT BELIEVE WHAT FOLLOWS. Only {counts}.{differing}"


def tally(findings: Findings) -> str:
    """ "By mean latency REST is faster at 5 loads, gRPC at 1; at 2 no difference can be told." """
    judged = [comparison for comparison in findings.main if _is_judged(comparison)]
    if not judged:
        return "gRPC against REST: no load was measured on both paths often enough to say anything."
    wins = {"rest": 0, "grpc": 0}
    for comparison in judged:
        winner = comparison.winner()
        if winner:
            wins[winner.path] += 1
    said = [
        f"{words.ARMS[path]} is faster at {wins[path]:,}"
        for path in sorted(wins, key=lambda path: -wins[path])
        if wins[path]
    ]
    undecided = len(judged) - sum(wins.values())
    said += [f"no difference can be told at {undecided:,}"] if undecided else []
    return f"By mean latency, of {words.many(len(judged), 'load')}: {', '.join(said)}."


def statement(comparison: Comparison, accounts: Sequence[Account] = ()) -> Statement:
    """accounts: of the same run; what the difference is made of is looked up there."""
    about = words.load(comparison.question)
    if not comparison.is_main:
        about += f", {words.arm(comparison.a.cell)} against {words.arm(comparison.b.cell)}"
    said = "; ".join([*_speed(comparison), *_failures(comparison), *_cost(comparison)])
    return Statement(words.sentence(about), " ".join([words.sentence(said) + ".", *_causes(comparison, accounts)]))


def _causes(comparison: Comparison, accounts: Sequence[Account]) -> Iterator[str]:
    """Of a difference that can be told, route by route."""
    if comparison.is_main and comparison.winner():
        routes = [account for account in accounts if account.question == comparison.question]
        yield from filter(None, (causes(account, route_is_known=len(routes) == 1) for account in routes))


def _is_judged(comparison: Comparison) -> bool:
    verdict = comparison.verdicts.get(MEAN.name)
    return verdict is not None and min(verdict.a.n, verdict.b.n) >= REPETITIONS_MIN


def _speed(comparison: Comparison) -> Iterator[str]:
    silent = [_silence(summary) for summary in (comparison.a, comparison.b)]
    if any(silent):
        yield f"nothing can be said, for {' and '.join(filter(None, silent))}"
        return
    if not _is_judged(comparison):
        means = _means(comparison, comparison.a.interval(MEAN), comparison.b.interval(MEAN))
        yield f"{words.many(len(comparison.repetitions), 'repetition')} on both sides, too few to tell ({means})"
        return
    mean = comparison.verdicts[MEAN.name]
    winner = comparison.winner()
    if winner:
        yield f"{words.arm(winner)} is {words.times(mean.factor)} faster ({_against(comparison, mean, MEAN)})"
    else:
        yield f"no difference can be told ({_means(comparison, mean.a, mean.b)})"
    for metric in (P50, P99, THROUGHPUT):
        yield from _also(comparison, metric, mean)


def _also(comparison: Comparison, metric: Metric, mean: Verdict) -> Iterator[str]:
    """What another metric adds to the verdict on the mean; nothing where p50 and throughput only repeat it."""
    verdict = comparison.verdicts.get(metric.name)
    if not verdict or min(verdict.a.n, verdict.b.n) < REPETITIONS_MIN:
        return
    winner = comparison.winner(metric)
    if not winner:
        if mean.winner:
            yield f"no difference can be told in {metric.words} ({_against(comparison, verdict, metric, named=False)})"
        return
    if verdict.winner == mean.winner:
        if metric is P99:
            yield f"its p99 is {words.times(verdict.factor)} lower"
        elif metric is THROUGHPUT:
            yield f"{words.times(verdict.factor)} the throughput"
        return
    better = "more" if not metric.lower_is_better else "lower"
    yield (
        f"but {words.arm(winner)} has {words.times(verdict.factor)} {better} {metric.words} "
        f"({_against(comparison, verdict, metric, named=False)})"
    )


def _against(comparison: Comparison, verdict: Verdict, metric: Metric, *, named: bool = True) -> str:
    """The winner's figure first; gRPC's, or that of the first arm, where there is none."""
    pair = [(comparison.a, verdict.a), (comparison.b, verdict.b)]
    if (comparison.verdicts[MEAN.name].winner or verdict.winner) == "b":
        pair.reverse()
    form = words.number_interval if metric is THROUGHPUT else words.latency_interval
    figures = " against ".join(form(interval) for _, interval in pair)
    return f"{metric.words} {figures}" if named else figures


def _means(comparison: Comparison, a: Interval, b: Interval) -> str:
    of_a, of_b = words.arm(comparison.a.cell), words.arm(comparison.b.cell)
    return f"mean {words.latency_interval(a)} of {of_a}, {words.latency_interval(b)} of {of_b}"


def _silence(summary: Summary) -> str:
    """Why an arm says nothing; empty where it does."""
    name = words.arm(summary.cell)
    if not summary.runs and summary.voided:
        reasons = list(dict.fromkeys(words.shown(reason) for _, reason in summary.voided))
        return f"{'all' if len(summary.voided) > 1 else 'the'} {words.many(len(summary.voided), 'run')} of {name} {'were' if len(summary.voided) > 1 else 'was'} voided ({words.listed(reasons, CAUSES_MAX)})"
    if not summary.runs:
        return f"{name} was not measured"
    if not summary.calls:
        causes = [words.shown(cause) for cause in summary.errors]
        return f"{name} answered no call" + (f" ({words.listed(causes, CAUSES_MAX)})" if causes else "")
    return ""


def _failures(comparison: Comparison) -> Iterator[str]:
    for summary in (comparison.a, comparison.b):
        if summary.failed and summary.calls:
            causes = [f"{words.shown(cause)}: {calls:,}" for cause, calls in summary.errors.items()]
            share = words.percent(summary.failed_share)
            yield f"{share} of the calls of {words.arm(summary.cell)} failed ({words.listed(causes, CAUSES_MAX)})"


def _cost(comparison: Comparison) -> Iterator[str]:
    """Of the servers where they differ, else of everything."""
    servers = [words.SERVERS.get(summary.cell.path, "") for summary in (comparison.a, comparison.b)]
    if servers[0] != servers[1] and all(servers):
        costs = [summary.cpu_us.get("workload") for summary in (comparison.a, comparison.b)]
        if all(cost and math.isfinite(cost.mean) for cost in costs):
            a, b = (cost.mean for cost in costs if cost)
            yield f"{servers[0]} costs {words.number(round(a))} µs of CPU a call, {servers[1]} {words.number(round(b))} µs"
        return
    whole = [summary.cpu_us_whole.mean for summary in (comparison.a, comparison.b)]
    if all(math.isfinite(cost) for cost in whole):
        of_a, of_b = words.arm(comparison.a.cell), words.arm(comparison.b.cell)
        said = [words.number(round(cost)) for cost in whole]
        yield f"{of_a} costs {said[0]} µs of CPU a call in all, {of_b} {said[1]} µs"
