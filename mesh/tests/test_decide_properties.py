"""What holds of decide and evolve, whatever is wished and whatever has happened."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.commands import ApplyTopology, Command, ShiftTraffic
from mesh.decide import decide
from mesh.errors import Refused
from mesh.events import Declaration, DeclaredService, MeshEvent
from mesh.invariants import check
from mesh.tests.declared_samples import weighted
from mesh.tests.strategies import commands, declarations, mesh_events, percents
from mesh.topology import Topology, evolve, evolved

few = settings(max_examples=60, deadline=None)  # a shared machine may stand still for longer than any deadline


def after(topology: Topology, *wished: Command) -> Topology:
    """The topology after `wished`; what is refused changes nothing."""
    for command in wished:
        with suppress(Refused):
            topology = evolved(decide(topology, command), topology)
    return topology


def as_declared(topology: Topology) -> Declaration:
    """What a file would say of `topology`."""
    assert topology.edge is not None
    services = {
        name: DeclaredService(s.protocol, s.contract, s.grpc_services, s.routes, s.weights)
        for name, s in topology.services.items()
    }
    settings = (topology.edge, topology.limits, topology.telemetry, topology.identity)
    return Declaration(topology.contracts, services, topology.workloads(), *settings)


@few
@given(st.lists(mesh_events()))
def test_an_event_in_the_log_is_a_fact_and_evolve_takes_it_whatever_came_before(events: list[MeshEvent]) -> None:
    topology = Topology()
    for event in events:
        before = topology
        topology = evolve(topology, event)
        assert evolve(before, event) == topology


@few
@given(st.lists(declarations(), min_size=1, max_size=4))
def test_where_nobody_shifted_the_mesh_is_what_the_last_file_says(files: list[Declaration]) -> None:
    topology = after(Topology(), *map(ApplyTopology, files))
    assert as_declared(topology) == files[-1]
    assert topology.applied == files[-1]


@few
@given(st.lists(commands(), max_size=4), commands())
def test_what_was_wished_and_granted_is_no_news_when_it_is_wished_again(history: list[Command], last: Command) -> None:
    topology = after(Topology(), *history)
    with suppress(Refused):
        topology = evolved(decide(topology, last), topology)
        assert decide(topology, last) == []


@few
@given(st.lists(commands(), max_size=6))
def test_every_topology_that_commands_lead_to_makes_sense(wished: list[Command]) -> None:
    topology = Topology()
    for command in wished:
        topology = after(topology, command)
        check(topology)
        assert topology.faults.keys() <= topology.workloads().keys()
        for service in topology.services.values():
            assert sum(service.shares().values()) == (100 if service.workloads else 0)


@st.composite
def shifted_files(draw: st.DrawFn) -> tuple[Declaration, str, dict[str, int]]:
    """A file, a service of it that has workloads, and weights for its versions."""
    file = draw(declarations(least=1))
    service = draw(st.sampled_from(sorted({workload.service for workload in file.workloads.values()})))
    versions = sorted({workload.version for workload in file.workloads.values() if workload.service == service})
    return file, service, draw(percents(versions))


@few
@given(shifted_files())
def test_an_operators_shift_survives_the_same_file(drawn: tuple[Declaration, str, dict[str, int]]) -> None:
    file, service, weights = drawn
    topology = after(Topology(), ApplyTopology(file), ShiftTraffic(service, weights), ApplyTopology(file))
    assert topology.services[service].shares() == weights


@few
@given(shifted_files(), st.data())
def test_an_operators_shift_gives_way_when_the_file_changes_the_weights(
    drawn: tuple[Declaration, str, dict[str, int]], data: st.DataObject
) -> None:
    file, service, weights = drawn
    changed = data.draw(percents(sorted(weights)))
    topology = after(Topology(), ApplyTopology(file), ShiftTraffic(service, weights))
    topology = after(topology, ApplyTopology(weighted(file, service, changed)))
    stays = changed == file.services[service].weights
    assert topology.services[service].shares() == (weights if stays else changed)
