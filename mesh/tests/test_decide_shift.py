"""Shifting traffic between the versions of a service."""

import pytest

from mesh.commands import ShiftTraffic
from mesh.errors import InvalidTopology, Refused, UnknownService, UnknownVersion, WeightsDoNotSum
from mesh.events import MeshEvent, ServiceDeclared, TrafficShifted, Workload, WorkloadJoined, WorkloadLeft
from mesh.tests.given import given

A = ServiceDeclared("a", "http")
V1 = WorkloadJoined(Workload("a-v1-1", "a", "v1", "127.0.0.1:15100", "unix:app.sock"))
V2 = WorkloadJoined(Workload("a-v2-1", "a", "v2", "127.0.0.1:15110", "unix:app.sock"))
V3 = WorkloadJoined(Workload("a-v3-1", "a", "v3", "127.0.0.1:15120", "unix:app.sock"))


def test_traffic_is_shifted_between_versions_that_have_workloads() -> None:
    wished = given(A, V1, V2).when(ShiftTraffic("a", {"v1": 90, "v2": 10}))
    wished.then(TrafficShifted("a", {"v1": 90, "v2": 10}))


def test_versions_that_are_not_named_get_nothing() -> None:
    wished = given(A, V1, V2, V3).when(ShiftTraffic("a", {"v2": 100}))
    wished.then(TrafficShifted("a", {"v1": 0, "v2": 100, "v3": 0}))


@pytest.mark.parametrize(
    ("history", "weights"),
    [
        ((TrafficShifted("a", {"v1": 90, "v2": 10}),), {"v1": 90, "v2": 10}),
        ((TrafficShifted("a", {"v1": 0, "v2": 100}),), {"v2": 100}),
        ((), {"v1": 100}),  # nobody ever shifted: the first version has it all
    ],
)
def test_a_shift_to_the_weights_in_force_is_no_news(history: tuple[MeshEvent, ...], weights: dict[str, int]) -> None:
    given(A, V1, V2, *history).when(ShiftTraffic("a", weights)).then()


@pytest.mark.parametrize(
    ("weights", "error", "saying"),
    [
        ({"v1": 90}, WeightsDoNotSum, "v1=90 sums to 90"),
        ({"v1": 90, "v2": 20}, WeightsDoNotSum, "sums to 110"),
        ({"v1": 150, "v2": -50}, WeightsDoNotSum, "from 0 to 100"),
        ({}, WeightsDoNotSum, "none given"),
        ({"v3": 100}, UnknownVersion, "'v3'; there are v1, v2"),
        ({"v1": 100, "v3": 0}, UnknownVersion, "'v3'"),
    ],
)
def test_a_shift_that_makes_no_sense_is_refused(weights: dict[str, int], error: type[Refused], saying: str) -> None:
    given(A, V1, V2).when(ShiftTraffic("a", weights)).refuses(error, saying)


def test_a_shift_of_an_unknown_service_is_refused_and_says_which_there_are() -> None:
    given(A, V1).when(ShiftTraffic("b", {"v1": 100})).refuses(UnknownService, "'b'; there are a")


def test_no_traffic_goes_to_a_version_whose_last_workload_has_left() -> None:
    gone = WorkloadLeft("a-v2-1", "a")
    given(A, V1, V2, gone).when(ShiftTraffic("a", {"v1": 50, "v2": 50})).refuses(UnknownVersion, "'v2'")


def test_a_shift_in_a_mesh_that_contradicts_itself_is_refused() -> None:
    wished = given(ServiceDeclared("a", "grpc", "lost"), V1, V2).when(ShiftTraffic("a", {"v2": 100}))
    wished.refuses(InvalidTopology, "contract 'lost' is not published")
