"""What is compared with what, over which runs, and what is said of it."""

import math
import re
from dataclasses import replace

import pytest

from loadtests.errors import UnreadableResults
from loadtests.findings import verdicts
from loadtests.findings.sentences import control_in_words, sentences, statement, tally
from loadtests.findings.summaries import MEAN, P99, THROUGHPUT, summarise
from loadtests.findings.verdicts import Findings
from loadtests.model.cells import Cell
from loadtests.model.measurements import Measurement, ProcessUse
from loadtests.tests.made import everything, made, repeated, run_of, with_errors, without_answers

GRPC, REST = Cell("grpc", "a", 25), Cell("rest", "a", 25)
AGAIN = replace(GRPC, variant="again")


def find(measured: list[Measurement], **fields: object) -> Findings:
    return verdicts.find(run_of(measured, **fields), measured)


def said(measured: list[Measurement], **fields: object) -> str:
    (comparison,) = find(measured, **fields).comparisons
    return str(statement(comparison))


def test_the_faster_path_is_named_with_figures_intervals_and_cost() -> None:
    words = said(repeated([GRPC, REST]))
    assert words.startswith("A at 25 users: REST is 1.8 times faster (mean 5.")
    assert words.count("[") == 2
    assert "; its p99 is 1." in words
    assert words.endswith("Python's gRPC server costs 120 µs of CPU a call, Sanic 31 µs.")


def test_grpc_is_named_where_it_is_faster() -> None:
    assert "gRPC is 1." in said([*repeated([GRPC], slower=0.4), *repeated([REST])])


def test_equal_paths_have_no_winner_and_both_figures() -> None:
    variant = replace(GRPC, variant="journal-off")
    words = said(repeated([GRPC, variant]))
    assert re.search(r"No difference can be told \(mean .* of gRPC, .* of gRPC with journal off\)", words)
    assert "faster" not in words


@pytest.mark.parametrize("repetitions", [1, 2])
def test_fewer_than_three_repetitions_name_no_winner(repetitions: int) -> None:
    words = said(repeated([GRPC, REST], repetitions))
    assert "too few to tell" in words
    assert "faster" not in words
    assert tally(find(repeated([GRPC, REST], repetitions))).endswith("often enough to say anything.")


def test_repetitions_that_count_on_one_side_only_are_left_out() -> None:
    measured = repeated([GRPC, REST])
    measured[0] = replace(measured[0], voided="the generator was the bottleneck")
    (comparison,) = find(measured).comparisons
    assert comparison.repetitions == tuple(range(2, 11))
    assert comparison.a.voided == ((1, "the generator was the bottleneck"),)
    assert {verdict.a.n for verdict in comparison.verdicts.values()} == {9}


def test_a_voided_run_that_was_run_again_counts_once() -> None:
    summary = summarise([replace(made(GRPC), voided="late"), made(GRPC), made(GRPC, 2)])[GRPC]
    assert (sorted(summary.runs), summary.voided) == ([1, 2], ((1, "late"),))


def test_an_arm_with_all_runs_voided_says_why() -> None:
    voided = [replace(m, voided="the generator was the bottleneck") for m in repeated([REST])]
    words = said([*repeated([GRPC]), *voided])
    assert "Nothing can be said, for all 10 runs of REST were voided (the generator was the bottleneck)" in words


def test_an_arm_that_was_planned_and_not_measured_is_said() -> None:
    measured = repeated([GRPC])
    assert "REST was not measured" in said(measured, cells=(GRPC, REST))
    assert find(measured, cells=(GRPC, REST)).unmeasured == (REST,)


def test_an_arm_that_answered_nothing_never_wins() -> None:
    silent = [without_answers(m) for m in repeated([REST])]
    words = said([*repeated([GRPC]), *silent])
    assert "REST answered no call (timeout)" in words
    assert "faster" not in words


def test_failed_calls_are_in_the_same_sentence_as_the_speed() -> None:
    measured = [
        with_errors(m, {"timeout": 600, "HTTP 503": 3}) if m.cell == REST else m for m in repeated([GRPC, REST])
    ]
    words = said(measured)
    assert "% of the calls of REST failed (timeout: 6,000, HTTP 503: 30)" in words


def test_thousands_of_causes_are_counted_and_not_all_told() -> None:
    causes = {f"cause {number}": 1 for number in range(5_000)}
    words = said([with_errors(m, causes) for m in repeated([GRPC, REST])])
    assert "and 4,997 more" in words
    assert len(words) < 1_000


def test_in_an_open_loop_throughput_is_no_verdict() -> None:
    open_loop = [replace(cell, rate=500.0) for cell in (GRPC, REST)]
    (comparison,) = find(repeated(open_loop)).comparisons
    assert THROUGHPUT.name not in comparison.verdicts
    assert {MEAN.name, P99.name} < comparison.verdicts.keys()


def test_a_metric_that_contradicts_the_mean_is_said() -> None:
    """REST is faster by its mean, but its slowest calls are slower."""
    slow_tail = made(GRPC, 1, slower=20).routes["/a/hello"].histogram
    measured = []
    for m in repeated([GRPC, REST]):
        route = m.routes["/a/hello"]
        tail = replace(route, histogram=slow_tail) if m.cell == REST else route
        measured.append(replace(m, routes={"/a/hello": tail}))
    assert re.search(r"but gRPC has \d+ times lower p99", said(measured))


def test_grpc_against_rest_comes_first() -> None:
    found = find(repeated(everything(), repetitions=1))
    main = [comparison.is_main for comparison in found.comparisons]
    assert main == sorted(main, reverse=True)
    assert sum(main) == 24
    arms = {(comparison.a.cell.arm, comparison.b.cell.arm) for comparison in found.comparisons}
    assert {("grpc", "native"), ("reference-grpc", "grpc"), ("grpc", "grpc journal-off")} < arms
    assert not any("again" in arm for pair in arms for arm in pair)


def test_a_failed_control_is_said_first_and_loudly() -> None:
    measured = [*repeated([GRPC, REST]), *repeated([AGAIN], slower=1.4)]
    first = sentences(run_of(measured), measured)[0]
    assert first.startswith("THE CONTROL FAILED: DO NOT BELIEVE WHAT FOLLOWS.")
    assert "It differed in: grpc: a, 25 users: calls/s" in first


def test_a_control_that_holds_or_is_missing_is_said_too() -> None:
    assert control_in_words(find(repeated([GRPC, AGAIN])).control).startswith("The control holds: 4 of 4 comparisons")
    assert control_in_words(find(repeated([GRPC])).control).startswith("There was no control")
    assert "says nothing" in control_in_words(find(repeated([GRPC, AGAIN], 2)).control)


def test_what_is_no_number_is_unknown_and_never_zero() -> None:
    odd = [replace(m, seconds=0.0, processes=(ProcessUse("x", "edge", math.nan, 0),)) for m in repeated([GRPC])]
    summary = summarise(odd)[GRPC]
    assert summary.interval(THROUGHPUT).n == 0
    assert math.isnan(summary.cpu_us["edge"].mean)
    assert "nan" not in said([*odd, *repeated([REST])])


def test_a_histogram_that_is_none_names_its_run() -> None:
    broken = made(GRPC, 3)
    route = replace(broken.routes["/a/hello"], histogram="no histogram")
    with pytest.raises(UnreadableResults, match=r"grpc: a, 25 users, repetition 3 has latencies that cannot be read"):
        find([replace(broken, routes={"/a/hello": route})])


def test_a_variant_is_compared_with_a_mesh_that_is_as_fresh() -> None:
    """One that has borne other loads takes more CPU a call: against it, any variant would look good."""
    cell = Cell("grpc", "a", 25)
    cells = [cell, replace(cell, variant="beside"), replace(cell, variant="journal-off")]
    measured = [made(one, repetition) for one in cells for repetition in range(1, 6)]
    found = verdicts.find(run_of(measured), measured)
    assert [(c.a.cell.variant, c.b.cell.variant) for c in found.comparisons] == [("beside", "journal-off")]
