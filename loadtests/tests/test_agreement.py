"""Our figures and other people's: when they agree, when they differ, what is said of why, and what is not."""

import math
import random
import re

import pytest

from loadtests.agreement.ratios import Agreement, agreement, finding, sentence
from loadtests.agreement.tools.result import ToolResult
from loadtests.findings.intervals import Interval
from loadtests.model.cells import Cell
from loadtests.model.runs import CHECK, Run
from loadtests.report.agreement import page
from loadtests.report.markdown import markdown

CELL = Cell("grpc", "a", 25)
CORES = 2
RUN = Run("2026-11-26T17-05-02-check", CHECK, 1, "m", 4, 5, (CELL,), window_seconds=5.0)


def a_result(
    tool: str,
    *,
    mean_us: float = 10_000.0,
    between_us: float = 0.0,
    cpu_us: float = 100.0,
    busy: float = 1.0,
    failed: float = 0,
    seconds: float = 10.0,
    scatter: float = 0.0,
) -> ToolResult:
    """What 25 users in a closed loop come to, by Little's law."""
    mean_us *= 1 + scatter
    calls = round(CELL.users / (mean_us + between_us) * 1e6 * seconds)
    tail = {"p50_us": mean_us * 0.9, "p95_us": mean_us * 2, "p99_us": mean_us * 3, "max_us": mean_us * 5}
    return ToolResult(
        tool,
        "v1",
        calls=calls,
        seconds=seconds,
        min_us=mean_us / 2,
        mean_us=mean_us,
        **tail,
        errors={"HTTP 503": int(failed)} if failed else {},
        cpu_seconds=cpu_us * calls / 1e6,
        machine_busy=busy,
    )


def told(found: Agreement) -> str:
    return markdown(page(RUN, [found]))


def rounds_of(
    ours: dict[str, float], theirs: dict[str, float], tool: str = "k6", n: int = 5
) -> list[dict[str, ToolResult]]:
    """Rounds that scatter by about 1 %, each tool for itself."""
    chance = random.Random(4)
    return [
        {
            "locust": a_result("locust", **ours, scatter=chance.gauss(0, 0.01)),
            tool: a_result(tool, **theirs, scatter=chance.gauss(0, 0.01)),
        }
        for _ in range(n)
    ]


@pytest.mark.parametrize(
    ("ratio", "says"),
    [
        (Interval(1.01, 0.98, 1.04, 5), "agrees"),
        (Interval(1.02, 1.01, 1.03, 5), "agrees"),
        (Interval(1.1, 1.02, 1.2, 5), "differs"),
        (Interval(0.8, 0.7, 0.9, 5), "differs"),
        (Interval(1.0, 0.8, 1.2, 5), "cannot tell"),
        (Interval(1.0, math.nan, math.nan, 2), "cannot tell"),
        (Interval(math.nan, math.nan, math.nan, 0), "cannot tell"),
    ],
)
def test_what_a_ratio_says(ratio: Interval, says: str) -> None:
    assert finding(ratio) == says


def test_tools_that_measure_the_same_agree_and_need_no_reason() -> None:
    (k6,) = agreement(CELL, rounds_of({}, {}), ours="locust", cores=CORES).tools
    assert set(k6.findings.values()) == {"agrees"}
    assert k6.ratios["mean_us"].mean == pytest.approx(1, abs=0.02)
    assert k6.reasons == ()


def test_a_generator_that_takes_more_cpu_on_full_cores_is_said_to_be_the_reason_and_how_much_of_it() -> None:
    """25 users, 2 cores: 800 µs of core time a call are 10 ms; 400 µs more in the generator make it 15."""
    rounds = rounds_of({"mean_us": 10_000, "cpu_us": 100}, {"mean_us": 15_000, "cpu_us": 500})
    (k6,) = agreement(CELL, rounds, ours="locust", cores=CORES).tools
    assert k6.findings["throughput"] == k6.findings["mean_us"] == "differs"
    assert k6.ratios["throughput"].mean == pytest.approx(2 / 3, rel=0.03)
    assert "k6 takes 500 µs of CPU a call, locust 100 µs" in k6.reasons[0]
    assert "were all taken" in k6.reasons[0]
    assert any(f"that is {part}% of" in k6.reasons[0] for part in range(90, 111)), k6.reasons[0]
    assert not any("nothing that was measured" in reason for reason in k6.reasons)


def test_where_cores_were_idle_cpu_is_no_reason() -> None:
    rounds = rounds_of({"cpu_us": 100, "busy": 0.5}, {"mean_us": 15_000, "cpu_us": 500, "busy": 0.5})
    (k6,) = agreement(CELL, rounds, ours="locust", cores=CORES).tools
    assert "not all of the 2 cores were taken (50%)" in k6.reasons[0]
    assert "nothing that was measured" in k6.reasons[-1]


def test_cpu_that_would_move_the_figures_the_other_way_is_no_reason() -> None:
    rounds = rounds_of({"cpu_us": 500}, {"mean_us": 15_000, "cpu_us": 100})
    (k6,) = agreement(CELL, rounds, ours="locust", cores=CORES).tools
    assert "the other way" in k6.reasons[0]
    assert "nothing that was measured" in k6.reasons[-1]


def test_time_between_calls_lowers_throughput_though_latencies_agree() -> None:
    (k6,) = agreement(CELL, rounds_of({}, {"between_us": 2_000}), ours="locust", cores=CORES).tools
    assert k6.findings["mean_us"] == "agrees"
    assert k6.findings["throughput"] == "differs"
    assert any("between an answer and the same user's next call pass 2,0" in reason for reason in k6.reasons)
    assert not any("http_req_duration" in reason for reason in k6.reasons), "no latency differs"
    assert not any("nothing that was measured" in reason for reason in k6.reasons)


def test_what_a_tool_counts_in_its_own_way_is_no_reason_for_a_figure_that_differs_the_other_way() -> None:
    """Leaving out connecting makes latencies shorter, never longer."""
    longer, shorter = ({"mean_us": mean_us} for mean_us in (15_000.0, 8_000.0))
    (k6,) = agreement(CELL, rounds_of({}, longer), ours="locust", cores=CORES).tools
    assert not any("connecting" in reason for reason in k6.reasons)
    (k6,) = agreement(CELL, rounds_of({}, shorter), ours="locust", cores=CORES).tools
    assert any("connecting" in reason for reason in k6.reasons)


@pytest.mark.parametrize(("seconds", "said"), [(10.0, False), (0.5, True)])
def test_calls_under_way_at_the_end_are_a_reason_only_where_they_are_many(seconds: float, said: bool) -> None:
    rounds = rounds_of({"seconds": seconds}, {"seconds": seconds, "mean_us": 12_000}, tool="wrk")
    (wrk,) = agreement(CELL, rounds, ours="locust", cores=CORES).tools
    assert any("under way at the end" in reason for reason in wrk.reasons) == said


def test_rounds_in_which_calls_failed_are_left_out_and_counted() -> None:
    rounds = [*rounds_of({}, {}), {"locust": a_result("locust"), "k6": a_result("k6", failed=5_000, mean_us=99_000)}]
    found = agreement(CELL, rounds, ours="locust", cores=CORES)
    (k6,) = found.tools
    assert (k6.rounds, k6.left_out) == (5, 1)
    assert k6.errors == {"HTTP 503": 5_000}
    assert "- k6: failed calls: 5,000 HTTP 503." in told(found)
    assert set(k6.findings.values()) == {"agrees"}


def test_too_few_rounds_say_so_instead_of_a_verdict() -> None:
    (k6,) = agreement(CELL, rounds_of({}, {"mean_us": 20_000}, n=2), ours="locust", cores=CORES).tools
    assert set(k6.findings.values()) == {"cannot tell"}
    assert k6.reasons == ()


def test_a_round_that_lacks_a_tool_is_not_paired_with_another() -> None:
    rounds = rounds_of({}, {})
    rounds[2] = {"locust": rounds[2]["locust"]}
    rounds[3] = {"k6": rounds[3]["k6"]}
    (k6,) = agreement(CELL, rounds, ours="locust", cores=CORES).tools
    assert k6.rounds == 3


def test_the_table_has_a_line_for_each_figure_and_the_reasons_below() -> None:
    rounds = rounds_of({}, {"mean_us": 15_000, "cpu_us": 500})
    found = agreement(CELL, rounds, ours="locust", cores=CORES, absent={"ghz": "ghz cannot run this"})
    text = told(found)
    assert "## A at 25 users, gRPC" in text
    assert "| locust | k6 v1 | theirs / ours |" in text
    assert re.search(r"\| calls/s \| 2,\d+ \| 1,6\d+ \| 0\.67 \(", text)
    assert "≠" in text
    assert sentence(found, found.tools[0]).startswith("k6 differs in calls/s (0.67 times locust)")
    assert "- ghz cannot run this." in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1, "every line of the table has as many columns"
