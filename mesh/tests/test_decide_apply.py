"""Applying a topology file: what it said last, what it says now, what the mesh is now."""

from dataclasses import replace

from mesh.commands import ApplyTopology, ShiftTraffic
from mesh.decide import decide
from mesh.errors import InvalidTopology
from mesh.events import (
    ContractPublished,
    ContractWithdrawn,
    Declaration,
    Edge,
    EdgeOpened,
    Identity,
    IdentityGoverned,
    Limits,
    LimitsSet,
    MeshEvent,
    RoutesPublished,
    ServiceDeclared,
    ServiceRetired,
    Telemetry,
    TelemetryPointed,
    TopologyApplied,
    TrafficShifted,
    WorkloadJoined,
    WorkloadLeft,
)
from mesh.tests.declared_samples import A_V1, A_V2, B_V1, DECLARED, HELLO, NUMBERS, A, B, by_id, weighted, workload
from mesh.tests.given import Wished, given
from mesh.topology import evolved

SETTINGS = (IdentityGoverned(Identity()), LimitsSet(Limits()), TelemetryPointed(Telemetry()), EdgeOpened(Edge()))


def applied(*declarations: Declaration, after: tuple[MeshEvent, ...] = ()) -> tuple[MeshEvent, ...]:
    """All that has happened when `declarations` were applied one after the other, and then `after`."""
    history: list[MeshEvent] = []
    for declaration in declarations:
        history += decide(evolved(history), ApplyTopology(declaration))
    return (*history, *after)


def applying(declaration: Declaration, *history: MeshEvent) -> Wished:
    return given(*history).when(ApplyTopology(declaration))


def test_an_empty_mesh_is_told_everything_in_an_order_in_which_each_step_makes_sense() -> None:
    applying(weighted(DECLARED, "a", {"v1": 90, "v2": 10})).then(
        *SETTINGS,
        ContractPublished("pspd", b"descriptors"),
        ServiceDeclared("a", "grpc", "pspd", ("pspd.ServiceA",)),
        ServiceDeclared("b", "http"),
        RoutesPublished("a", (HELLO,)),
        RoutesPublished("b", (NUMBERS,)),
        WorkloadJoined(A_V1),
        WorkloadJoined(A_V2),
        WorkloadJoined(B_V1),
        TrafficShifted("a", {"v1": 90, "v2": 10}),
        TopologyApplied(weighted(DECLARED, "a", {"v1": 90, "v2": 10})),
    )


def test_what_a_file_leaves_to_defaults_is_written_to_the_log_or_a_later_program_would_tell_another_past() -> None:
    applying(Declaration()).then(*SETTINGS, TopologyApplied(Declaration()))


def test_applying_the_same_file_twice_appends_nothing() -> None:
    applying(DECLARED, *applied(DECLARED)).then()


def test_an_operators_shift_stays_when_the_same_file_is_applied_again() -> None:
    file = weighted(DECLARED, "a", {"v1": 100, "v2": 0})
    applying(file, *applied(file, after=(TrafficShifted("a", {"v1": 50, "v2": 50}),))).then()


def test_an_operators_shift_stays_when_the_file_changes_something_else() -> None:
    file = weighted(DECLARED, "a", {"v1": 100, "v2": 0})
    changed = replace(file, limits=Limits(connections=1))
    history = applied(file, after=(TrafficShifted("a", {"v1": 50, "v2": 50}),))
    applying(changed, *history).then(LimitsSet(Limits(connections=1)), TopologyApplied(changed))


def test_an_operators_shift_is_replaced_when_the_file_changes_the_weights() -> None:
    history = applied(weighted(DECLARED, "a", {"v1": 100}), after=(TrafficShifted("a", {"v1": 50, "v2": 50}),))
    changed = weighted(DECLARED, "a", {"v1": 20, "v2": 80})
    applying(changed, *history).then(TrafficShifted("a", {"v1": 20, "v2": 80}), TopologyApplied(changed))


def test_a_file_that_catches_up_with_an_operator_is_written_down_and_changes_nothing() -> None:
    history = applied(DECLARED, after=(TrafficShifted("a", {"v1": 50, "v2": 50}),))
    changed = weighted(DECLARED, "a", {"v1": 50, "v2": 50})
    applying(changed, *history).then(TopologyApplied(changed))


def test_weights_that_vanish_from_the_file_give_all_to_the_first_version_again() -> None:
    history = applied(weighted(DECLARED, "a", {"v1": 50, "v2": 50}))
    applying(DECLARED, *history).then(TrafficShifted("a", {}), TopologyApplied(DECLARED))


def test_a_new_version_joins_before_it_gets_traffic_and_an_old_one_leaves_after_it_has_lost_it() -> None:
    file = weighted(replace(DECLARED, workloads=by_id(A_V1, B_V1)), "a", {"v1": 100})
    changed = weighted(replace(DECLARED, workloads=by_id(A_V2, B_V1)), "a", {"v2": 100})
    applying(changed, *applied(file)).then(
        WorkloadJoined(A_V2), TrafficShifted("a", {"v2": 100}), WorkloadLeft("a-v1-1", "a"), TopologyApplied(changed)
    )


def test_a_service_that_vanishes_goes_with_its_workloads_and_its_contract_goes_last() -> None:
    without_a = Declaration({}, {"b": B}, by_id(B_V1))
    applying(without_a, *applied(weighted(DECLARED, "a", {"v1": 100}))).then(
        WorkloadLeft("a-v2-1", "a"),
        WorkloadLeft("a-v1-1", "a"),
        ServiceRetired("a"),
        ContractWithdrawn("pspd"),
        TopologyApplied(without_a),
    )


def test_a_service_that_vanishes_takes_what_an_operator_changed_with_it() -> None:
    history = applied(DECLARED, after=(TrafficShifted("a", {"v1": 0, "v2": 100}),))
    without_a = Declaration({}, {"b": B}, by_id(B_V1))
    after = evolved(decide(evolved(history), ApplyTopology(without_a)), evolved(history))
    assert set(after.services) == {"b"}


def test_what_is_gone_already_is_not_taken_back_again() -> None:
    history = applied(DECLARED, after=(WorkloadLeft("a-v2-1", "a"),))
    changed = replace(DECLARED, workloads=by_id(A_V1, B_V1))
    applying(changed, *history).then(TopologyApplied(changed))


def test_routes_that_vanish_are_taken_back() -> None:
    changed = replace(DECLARED, services={"a": replace(A, routes=()), "b": B})
    applying(changed, *applied(DECLARED)).then(RoutesPublished("a", ()), TopologyApplied(changed))


def test_a_workload_that_moves_joins_again_under_its_name() -> None:
    moved = replace(A_V1, address="127.0.0.1:25100")
    changed = replace(DECLARED, workloads=by_id(moved, A_V2, B_V1))
    applying(changed, *applied(DECLARED)).then(WorkloadJoined(moved), TopologyApplied(changed))


def test_a_workload_that_changes_its_service_leaves_the_old_one() -> None:
    moved = replace(A_V2, service="b")
    changed = replace(DECLARED, workloads=by_id(A_V1, moved, B_V1))
    after = evolved(decide(evolved(applied(DECLARED)), ApplyTopology(changed)), evolved(applied(DECLARED)))
    assert after.workloads() == changed.workloads
    assert "a-v2-1" not in after.services["a"].workloads


def test_everything_that_a_file_changes_is_set() -> None:
    changed = replace(
        DECLARED,
        contracts={"pspd": b"other descriptors"},
        services={"a": replace(A, grpc_services=("pspd.ServiceC",)), "b": B},
        edge=Edge(grpc_port=9090),
        limits=Limits(connections=1),
        telemetry=Telemetry(sampling_percent=1.0),
        identity=Identity("example.org"),
    )
    applying(changed, *applied(DECLARED)).then(
        IdentityGoverned(Identity("example.org")),
        LimitsSet(Limits(connections=1)),
        TelemetryPointed(Telemetry(sampling_percent=1.0)),
        EdgeOpened(Edge(grpc_port=9090)),
        ContractPublished("pspd", b"other descriptors"),
        ServiceDeclared("a", "grpc", "pspd", ("pspd.ServiceC",)),
        TopologyApplied(changed),
    )


def test_a_file_that_takes_the_version_away_that_an_operator_shifted_to_is_refused_and_says_what_to_do() -> None:
    history = applied(DECLARED, after=(TrafficShifted("a", {"v1": 10, "v2": 90}),))
    wished = applying(replace(DECLARED, workloads=by_id(A_V1, B_V1)), *history)
    wished.refuses(
        InvalidTopology,
        "service a: 90 % of its traffic would go to version v2, which has no workload; "
        "keep a workload of v2, or shift its traffic to v1 first",
    )


def test_a_version_that_an_operator_took_all_traffic_from_may_go() -> None:
    shifted = decide(evolved(applied(weighted(DECLARED, "a", {"v2": 100}))), ShiftTraffic("a", {"v1": 100}))
    history = applied(weighted(DECLARED, "a", {"v2": 100}), after=tuple(shifted))
    changed = replace(DECLARED, workloads=by_id(A_V1, B_V1))
    after = evolved(decide(evolved(history), ApplyTopology(changed)), evolved(history))
    assert after.services["a"].shares() == {"v1": 100}


def test_a_declared_workload_of_no_service_is_refused() -> None:
    lost = workload("c", "v1", 1, 15300)
    applying(replace(DECLARED, workloads=by_id(lost))).refuses(InvalidTopology, "service 'c'")
    applying(replace(DECLARED, workloads={"b-v1-1": A_V1})).refuses(InvalidTopology, "workload b-v1-1")


def test_a_file_that_contradicts_itself_is_refused() -> None:
    applying(replace(DECLARED, contracts={})).refuses(InvalidTopology, "contract 'pspd' is not published")
