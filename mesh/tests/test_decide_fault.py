"""Putting a fault into the sidecar of a workload, and what becomes of it."""

from dataclasses import replace

import pytest

from mesh.commands import ApplyTopology, ClearFault, Command, InjectFault
from mesh.decide import decide
from mesh.errors import InvalidTopology, Refused, UnknownWorkload
from mesh.events import (
    FaultCleared,
    FaultInjected,
    MeshEvent,
    ServiceDeclared,
    ServiceRetired,
    Workload,
    WorkloadJoined,
    WorkloadLeft,
)
from mesh.tests.declared_samples import DECLARED
from mesh.tests.given import given
from mesh.topology import Fault, Topology, evolved

A = ServiceDeclared("a", "http")
V1 = WorkloadJoined(Workload("a-v1-1", "a", "v1", "127.0.0.1:15100", "unix:app.sock"))
SLOW = FaultInjected("a-v1-1", 2.0, 100.0)


def test_a_fault_is_put_into_the_sidecar_of_a_workload_for_all_of_its_calls_if_nobody_says_otherwise() -> None:
    given(A, V1).when(InjectFault("a-v1-1", 2.0)).then(SLOW)


def test_another_fault_takes_the_place_of_the_one_in_force() -> None:
    given(A, V1, SLOW).when(InjectFault("a-v1-1", 2.0, 50.0)).then(FaultInjected("a-v1-1", 2.0, 50.0))


def test_a_fault_is_taken_out() -> None:
    given(A, V1, SLOW).when(ClearFault("a-v1-1")).then(FaultCleared("a-v1-1"))
    assert evolved((A, V1, SLOW, FaultCleared("a-v1-1"))).faults == {}


@pytest.mark.parametrize(
    ("history", "wished"),
    [
        ((SLOW,), InjectFault("a-v1-1", 2.0)),
        ((), ClearFault("a-v1-1")),
        ((SLOW, FaultCleared("a-v1-1")), ClearFault("a-v1-1")),
    ],
)
def test_what_is_so_already_is_no_news(history: tuple[MeshEvent, ...], wished: Command) -> None:
    given(A, V1, *history).when(wished).then()


@pytest.mark.parametrize(
    ("wished", "error", "saying"),
    [
        (InjectFault("a", 2.0), UnknownWorkload, "no workload is called 'a'; there are a-v1-1"),
        (ClearFault("b-v1-1"), UnknownWorkload, "no workload is called 'b-v1-1'; there are a-v1-1"),
        (
            InjectFault("a-v1-1", 0.0),
            InvalidTopology,
            "fault in a-v1-1: delay_ms is 0.0; it must be from 0.1 to 100.0",
        ),
        (InjectFault("a-v1-1", 0.099), InvalidTopology, "delay_ms is 0.099"),
        (InjectFault("a-v1-1", 100.1), InvalidTopology, "delay_ms is 100.1"),
        (InjectFault("a-v1-1", float("nan")), InvalidTopology, "delay_ms is nan"),
        (InjectFault("a-v1-1", float("inf")), InvalidTopology, "delay_ms is inf"),
        (InjectFault("a-v1-1", 2.0, 0.0), InvalidTopology, "percent is 0.0; it must be above 0 and at most 100"),
        (InjectFault("a-v1-1", 2.0, 100.5), InvalidTopology, "percent is 100.5"),
        (InjectFault("a-v1-1", 2.0, float("nan")), InvalidTopology, "percent is nan"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(wished: Command, error: type[Refused], saying: str) -> None:
    given(A, V1).when(wished).refuses(error, saying)


def test_in_a_mesh_without_workloads_a_fault_is_refused_too() -> None:
    given().when(InjectFault("a-v1-1", 2.0)).refuses(UnknownWorkload, "there are none yet")


def test_applying_a_file_leaves_faults_and_takes_those_of_the_workloads_that_go() -> None:
    mesh = evolved(decide(Topology(), ApplyTopology(DECLARED)))
    for id_ in ("a-v1-1", "a-v2-1"):
        mesh = evolved(decide(mesh, InjectFault(id_, 2.0)), mesh)
    assert decide(mesh, ApplyTopology(DECLARED)) == []
    fewer = {id_: workload for id_, workload in DECLARED.workloads.items() if id_ != "a-v2-1"}
    mesh = evolved(decide(mesh, ApplyTopology(replace(DECLARED, workloads=fewer))), mesh)
    assert mesh.faults == {"a-v1-1": Fault(2.0)}
    mesh = evolved(decide(mesh, ApplyTopology(DECLARED)), mesh)
    assert mesh.faults == {"a-v1-1": Fault(2.0)}, "a workload that comes back comes without the fault"


@pytest.mark.parametrize("gone", [WorkloadLeft("a-v1-1", "a"), ServiceRetired("a")])
def test_a_fault_leaves_with_its_workload(gone: MeshEvent) -> None:
    assert evolved((A, V1, SLOW, gone)).faults == {}
