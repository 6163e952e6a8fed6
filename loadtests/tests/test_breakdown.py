"""The account of where the time goes: made runs in, parts that sum to the whole out."""

import math

import pytest

from loadtests.hops.breakdown import PARTS, Account, account, apart, breakdown, difference
from loadtests.hops.serialization import costs_us
from loadtests.model.cells import Cell
from loadtests.model.measurements import Measurement
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


def accounted(costs: dict[str, dict[str, float]] | None = None) -> Account:
    every = [*runs("grpc", 1000, GRPC), *runs("rest", 800, REST), *runs("native", 1150, NATIVE)]
    every += [*runs("direct-grpc", 900, None), *runs("direct-rest", 500, None)]
    return account(every, ROUTE, costs or {})


def test_the_parts_of_each_path_sum_to_what_its_traced_calls_took() -> None:
    found = accounted({"grpc": {"sidecar to service": 30.0}, "rest": {"service": 40.0}}).paths
    assert found["grpc"].sum_us == pytest.approx(1030)  # the mean of 1,020, 1,030 and 1,040
    assert found["rest"].sum_us == pytest.approx(800)
    assert tuple(found["grpc"].parts_us) == PARTS


def test_serialization_is_taken_out_of_the_hops_that_hold_it() -> None:
    found = accounted({"grpc": {"sidecar to service": 30.0, "service": 5.0}})
    assert found.transcoding_us == pytest.approx(25)  # the edge hop of JSON calls beyond that of native ones
    parts = found.paths["grpc"].parts_us
    assert parts["serialization"] == pytest.approx(25 + 30 + 5)
    assert (parts["edge"], parts["sidecar to service"], parts["service"]) == pytest.approx((65, 300, 195))


def test_no_hop_gives_away_more_than_it_lasted() -> None:
    found = breakdown(runs("grpc", 1000, GRPC), ROUTE)
    assert found
    parts = apart(found, {"service": 1e9}).parts_us
    assert (parts["service"], parts["serialization"]) == (0, 200)


def test_without_native_runs_the_edge_keeps_what_transcoding_takes_and_the_account_says_so() -> None:
    found = account(runs("grpc", 1000, GRPC), ROUTE, {})
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
    found = accounted().paths
    split = difference(found["rest"], found["grpc"])
    assert sum(part.mean for part in split.values()) == pytest.approx(found["grpc"].sum_us - found["rest"].sum_us)
    assert split["sidecar to service"].mean == pytest.approx(200)
    assert split["sidecar"].half_width == pytest.approx(0)  # both became slower together


def test_what_both_envoys_cost_is_found_a_second_time_by_leaving_them_out() -> None:
    native, rest = accounted().checks
    assert (native.path, native.traced_us, native.left_out_us) == pytest.approx(("native", 65 + 180 + 30, 250))
    assert (rest.path, rest.traced_us, rest.left_out_us) == pytest.approx(("rest", 60 + 180 + 30, 300))


def test_voided_runs_and_runs_without_traces_do_not_count() -> None:
    good = runs("grpc", 1000, GRPC)[:1]
    bad = [measured(cell("grpc"), 2, 5000, GRPC, voided="the generator was busy"), measured(cell("grpc"), 3, 9, None)]
    assert breakdown([*bad, *good], ROUTE) == breakdown(good, ROUTE)
    assert breakdown(bad, ROUTE) is None
    assert breakdown(good, "/elsewhere") is None


def test_variants_of_the_mesh_are_another_question() -> None:
    off = [measured(Cell("grpc", "a", 25, variant="journal-off"), 1, 10, GRPC)]
    assert account([*runs("grpc", 1000, GRPC), *off], ROUTE, {}) == account(runs("grpc", 1000, GRPC), ROUTE, {})


@pytest.mark.parametrize(("delay_ms", "within"), [(0, True), (5, False)])
def test_messages_of_a_stream_cost_a_call_only_where_there_are_no_pauses_to_make_them_in(
    delay_ms: int, within: bool
) -> None:
    costs = costs_us(Cell("grpc", "b", 25, count=100, delay_ms=delay_ms))["/b/numbers"]
    assert (costs["grpc"]["service"] > 0) == within
    assert all(math.isfinite(us) and us >= 0 for hops in costs.values() for us in hops.values())


def test_every_path_through_the_mesh_has_its_serialization_at_hops_that_exist() -> None:
    for route in costs_us(Cell("grpc", "report", 25)).values():
        assert route.keys() == {"grpc", "native", "rest"}
        assert {hop for hops in route.values() for hop in hops} <= set(PARTS)
        assert route["rest"]["service"] > 0
        assert route["grpc"]["sidecar to service"] > 0
