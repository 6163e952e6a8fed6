"""The account of where the time goes: made runs in, parts that sum to the whole out, and what is said of their difference."""

import math
from dataclasses import replace

import pytest

from loadtests.findings.accounts import Account, account, accounts
from loadtests.findings.breakdown import PARTS, apart, breakdown, difference
from loadtests.findings.causes import causes
from loadtests.hops.serialization import costs_us
from loadtests.hops.split import HOPS
from loadtests.model.cells import Cell
from loadtests.model.measurements import Measurement
from loadtests.model.runs import Serialization
from loadtests.tests.made import run_of
from loadtests.tests.made_hops import measured

ROUTE = "/a/hello"
GRPC = {"client": 200.0, "edge": 90.0, "edge to sidecar": 180.0, "sidecar": 20.0, "sidecar to service": 330.0}
GRPC["service"] = 200.0  # 1,020 in all
REST = {**GRPC, "edge": 60.0, "sidecar to service": 130.0}  # 790
NATIVE = {**GRPC, "client": 400.0, "edge": 65.0}


def cell(path: str) -> Cell:
    return Cell(path, "a", 25)


def runs(path: str, mean_us: float, parts: dict[str, float] | None) -> list[Measurement]:
    """Three repetitions, each ten microseconds slower in the sidecar than the one before."""
    slower = [parts and {**parts, "sidecar": parts["sidecar"] + 10 * n} for n in range(3)]
    return [measured(cell(path), n + 1, mean_us + 10 * n, slower[n]) for n in range(3)]


def every() -> list[Measurement]:
    traced = [*runs("grpc", 1000, GRPC), *runs("rest", 800, REST), *runs("native", 1150, NATIVE)]
    return [*traced, *runs("direct-grpc", 900, None), *runs("direct-rest", 500, None)]


def accounted(measurements: list[Measurement], costs: dict[str, dict[str, float]] | None = None) -> Account:
    found = account(measurements, ROUTE, costs or {})
    assert found
    return found


def of_both(grpc: list[Measurement], rest: list[Measurement]) -> str:
    return causes(accounted([*grpc, *rest]), route_is_known=True)


def test_the_parts_of_each_path_sum_to_what_its_traced_calls_took() -> None:
    found = accounted(every(), {"grpc": {"sidecar to service": 30.0}, "rest": {"service": 40.0}}).paths
    assert found["grpc"].sum_us == pytest.approx(1030)  # the mean of 1,020, 1,030 and 1,040
    assert found["rest"].sum_us == pytest.approx(800)
    assert tuple(found["grpc"].parts_us) == PARTS


def test_serialization_is_taken_out_of_the_hops_that_hold_it() -> None:
    found = accounted(every(), {"grpc": {"sidecar to service": 30.0, "service": 5.0}})
    assert found.transcoding_us == pytest.approx(25)  # the edge hop of JSON calls beyond that of native ones
    parts = found.paths["grpc"].parts_us
    assert parts["serialization"] == pytest.approx(25 + 30 + 5)
    assert (parts["edge"], parts["sidecar to service"], parts["service"]) == pytest.approx((65, 300, 195))


def test_transcoding_scatters_as_the_runs_do_that_it_was_found_from() -> None:
    scattered = [
        measured(cell("native"), n, 1150, {**NATIVE, "edge": edge_us})
        for n, edge_us in enumerate((35.0, 65.0, 95.0), 1)
    ]
    found = accounted([*runs("grpc", 1000, GRPC), *runs("rest", 800, REST), *scattered])
    assert found.transcoding_us == pytest.approx(25)
    assert found.difference
    assert found.difference.parts["serialization"].low < 0 < found.difference.parts["serialization"].mean


def test_no_hop_gives_away_more_than_it_lasted() -> None:
    found = breakdown(runs("grpc", 1000, GRPC), ROUTE)
    assert found
    parts = apart(found, {"service": 1e9}).parts_us
    assert (parts["service"], parts["serialization"]) == (0, 200)


def test_without_native_runs_the_edge_keeps_what_transcoding_takes_and_the_account_says_so() -> None:
    found = accounted(runs("grpc", 1000, GRPC))
    assert found.transcoding_us is None
    assert found.paths["grpc"].parts_us["edge"] == 90


@pytest.mark.parametrize(("mean_us", "adds_up"), [(1030, True), (985, True), (1075, True), (970, False), (1090, False)])
def test_a_sum_more_than_five_percent_from_the_mean_of_all_calls_is_said_to_be_no_account(
    mean_us: float, adds_up: bool
) -> None:
    found = breakdown([measured(cell("grpc"), 1, mean_us, GRPC | {"sidecar": 30.0})], ROUTE)
    assert found
    assert found.adds_up == adds_up
    assert ("do not rely" in str(found)) != adds_up
    assert found.apart_percent == pytest.approx(100 * (1030 / mean_us - 1))


def test_the_difference_is_of_runs_side_by_side_and_its_parts_sum_to_the_whole() -> None:
    found = accounted(every()).paths
    split = difference(found["rest"], found["grpc"])
    assert sum(part.mean for part in split.parts.values()) == pytest.approx(split.sum.mean)
    assert split.sum.mean == pytest.approx(found["grpc"].sum_us - found["rest"].sum_us)
    assert split.whole.mean == pytest.approx(200)
    assert split.parts["sidecar to service"].mean == pytest.approx(200)
    assert split.parts["sidecar"].half_width == pytest.approx(0)  # both became slower together


def test_what_both_envoys_cost_is_found_a_second_time_by_leaving_them_out() -> None:
    native, rest = accounted(every()).checks
    assert (native.path, native.traced_us, native.left_out_us) == pytest.approx(("native", 65 + 180 + 30, 250))
    assert (rest.path, rest.traced_us, rest.left_out_us) == pytest.approx(("rest", 60 + 180 + 30, 300))


def test_voided_runs_and_runs_without_traces_do_not_count() -> None:
    good = runs("grpc", 1000, GRPC)[:1]
    bad = [measured(cell("grpc"), 2, 5000, GRPC, voided="the generator was busy"), measured(cell("grpc"), 3, 9, None)]
    assert breakdown([*bad, *good], ROUTE) == breakdown(good, ROUTE)
    assert breakdown(bad, ROUTE) is None
    assert breakdown(good, "/elsewhere") is None


def test_of_a_repetition_that_was_run_again_the_last_run_counts_once() -> None:
    first, last = runs("grpc", 1000, GRPC)[:2]
    again = replace(last, repetition=1)
    assert breakdown([first, again], ROUTE) == breakdown([again], ROUTE)


def test_each_question_has_its_own_account_in_reading_order_and_variants_have_none() -> None:
    of_others = [measured(Cell("grpc", "a", 50), 1, 1000, GRPC), measured(Cell("grpc", "report", 25), 1, 1000, GRPC)]
    variants = [measured(Cell("grpc", "a", 25, variant=name), 1, 10, GRPC) for name in ("journal-off", "again")]
    found = accounts(run_of([]), [*variants, *of_others, *every()])
    assert [(one.question.journey, one.question.users) for one in found] == [("report", 25), ("a", 25), ("a", 50)]
    assert found[1] == accounted(every())


def test_serialization_counts_only_where_it_was_measured_for_such_a_stream() -> None:
    run = run_of([], serialization=(Serialization(10, 5, {ROUTE: {"grpc": {"service": 7.0}}}),))
    longer = [replace(m, cell=replace(m.cell, count=100)) for m in runs("grpc", 1000, GRPC)]
    found = accounts(run, [*runs("grpc", 1000, GRPC), *longer])
    assert {one.question.count: one.paths["grpc"].parts_us["serialization"] for one in found} == {10: 7, 100: 0}


def test_the_difference_is_said_with_its_largest_part_first() -> None:
    grpc = {**GRPC, "client": 150.0}
    said = of_both(runs("grpc", 980, grpc), runs("rest", 800, REST))
    assert said == (
        "Of the 180 µs that gRPC takes longer, 200 µs lie between sidecar and service (gRPC's own machinery in Python), "
        "30 µs at the edge (transcoding among it), 50 µs less between client and edge."
    )


def test_where_rest_takes_longer_the_parts_are_its_own() -> None:
    said = of_both(runs("grpc", 800, REST), runs("rest", 1000, GRPC))
    assert said.startswith("Of the 200 µs that REST takes longer, 200 µs lie between sidecar and service (Sanic's own")


def test_transcoding_is_named_where_it_was_measured() -> None:
    said = causes(accounted(every(), {"grpc": {"service": 5.0}}), route_is_known=False)
    assert "longer for /a/hello, " in said
    assert "30 µs in serialization (transcoding at the edge 25 µs)" in said


def test_a_part_whose_interval_includes_zero_is_no_cause() -> None:
    scattered = [
        measured(cell("grpc"), n, 1000, {**GRPC, "sidecar to service": 330.0 + off, "service": 200.0 - off})
        for n, off in enumerate((-300.0, 0.0, 150.0), 1)
    ]
    said = of_both(scattered, runs("rest", 800, REST))
    assert "at the edge" in said
    assert "service" not in said


@pytest.mark.parametrize(
    ("grpc", "rest"),
    [
        (runs("grpc", 1200, GRPC), runs("rest", 800, REST)),  # does not add up
        (runs("grpc", 1000, GRPC)[:2], runs("rest", 800, REST)[:2]),  # too few repetitions
        (runs("grpc", 830, REST), runs("rest", 800, REST)),  # the parts do not show the difference of all calls
        (runs("grpc", 1000, GRPC), runs("rest", 1000, None)),  # nothing to compare with
    ],
)
def test_no_cause_is_named_that_the_account_does_not_carry(grpc: list[Measurement], rest: list[Measurement]) -> None:
    assert of_both(grpc, rest) == ""


@pytest.mark.parametrize(("delay_ms", "within"), [(0, True), (5, False)])
def test_messages_of_a_stream_cost_a_call_only_where_there_are_no_pauses_to_make_them_in(
    delay_ms: int, within: bool
) -> None:
    costs = costs_us(count=100, delay_ms=delay_ms)["/b/numbers"]
    assert (costs["grpc"]["service"] > 0) == within
    assert all(math.isfinite(us) and us >= 0 for hops in costs.values() for us in hops.values())


def test_every_path_through_the_mesh_has_its_serialization_at_hops_that_exist() -> None:
    for route in costs_us(count=10, delay_ms=5).values():
        assert route.keys() == {"grpc", "native", "rest"}
        assert {hop for hops in route.values() for hop in hops} <= set(HOPS)
