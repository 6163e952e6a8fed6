"""Turn a wish into facts, or refuse it. Pure: the only inputs are the topology and the command.

Rules: a command that is already so is no news (no events); whatever is decided leads to a topology that passes
`mesh.invariants.check`; or the command is refused and nothing happens.

A topology is compared facet by facet: a facet is one thing that can be said of a mesh (a contract, the routes of a service,
one workload), and is written as the event that says it. Applying a declaration compares three maps of facets, by key:

declared last    declared now     the mesh now      then
the same         the same         anything          it stays as the mesh has it: an operator's command is not undone
another or none  this             another or none   this is said
another or none  this             this              nothing: it is so already
some             none             some              it is taken back
some             none             none              nothing: it is gone already

A fault is no facet: no file speaks of one, so applying a file leaves it, unless its workload goes.
"""

from collections.abc import Iterator
from typing import assert_never

from mesh.commands import ApplyTopology, ClearFault, Command, InjectFault, ShiftTraffic
from mesh.errors import InvalidTopology, UnknownService, UnknownVersion, UnknownWorkload, WeightsDoNotSum
from mesh.events import (
    ContractPublished,
    ContractWithdrawn,
    Declaration,
    EdgeOpened,
    FaultCleared,
    FaultInjected,
    IdentityGoverned,
    LimitsSet,
    MeshEvent,
    RoutesPublished,
    ServiceDeclared,
    ServiceRetired,
    TelemetryPointed,
    TopologyApplied,
    TrafficShifted,
    WorkloadJoined,
    WorkloadLeft,
)
from mesh.invariants import check
from mesh.topology import Fault, Service, Topology, evolved

Key = tuple[str, ...]
Facet = (
    ContractPublished
    | ServiceDeclared
    | RoutesPublished
    | WorkloadJoined
    | TrafficShifted
    | EdgeOpened
    | LimitsSet
    | TelemetryPointed
    | IdentityGoverned
)


def decide(topology: Topology, command: Command) -> list[MeshEvent]:
    """What `command` leads to in `topology`.

    Raises: UnknownService, UnknownVersion, UnknownWorkload, WeightsDoNotSum, InvalidTopology.
    """
    match command:
        case ShiftTraffic():
            events = shift_traffic(topology, command)
        case InjectFault():
            events = inject_fault(topology, command)
        case ClearFault():
            events = clear_fault(topology, command)
        case ApplyTopology():
            events = apply_topology(topology, command)
        case _:
            assert_never(command)
    if events:
        check(evolved(events, topology))
    return events


def shift_traffic(topology: Topology, command: ShiftTraffic) -> list[MeshEvent]:
    """Raises: UnknownService, UnknownVersion, WeightsDoNotSum."""
    service = topology.services.get(command.service)
    if service is None:
        raise UnknownService(command.service, known=sorted(topology.services))
    in_force = service.shares()
    for version in command.weights:
        if version not in in_force:
            raise UnknownVersion(command.service, version, known=list(in_force))
    percents = command.weights.values()
    if sum(percents) != 100 or not all(0 <= percent <= 100 for percent in percents):
        raise WeightsDoNotSum(command.service, command.weights)
    weights = {version: command.weights.get(version, 0) for version in in_force}
    return [] if weights == in_force else [TrafficShifted(command.service, weights)]


def inject_fault(topology: Topology, command: InjectFault) -> list[MeshEvent]:
    """Raises: UnknownWorkload. The bounds of a fault are looked at with the topology that it leads to."""
    _check_workload(topology, command.workload)
    if topology.faults.get(command.workload) == Fault(command.delay_ms, command.percent):
        return []
    return [FaultInjected(command.workload, command.delay_ms, command.percent)]


def clear_fault(topology: Topology, command: ClearFault) -> list[MeshEvent]:
    """Raises: UnknownWorkload."""
    _check_workload(topology, command.workload)
    return [FaultCleared(command.workload)] if command.workload in topology.faults else []


def _check_workload(topology: Topology, id_: str) -> None:
    known = topology.workloads()
    if id_ not in known:
        raise UnknownWorkload(id_, known=sorted(known))


def apply_topology(topology: Topology, command: ApplyTopology) -> list[MeshEvent]:
    """Raises: InvalidTopology (the declaration speaks of workloads of no service)."""
    before = facets(declared(topology.applied)) if topology.applied else {}
    wanted = facets(declared(command.declaration))
    now = facets(topology)
    said = [facet for key, facet in wanted.items() if facet not in (before.get(key), now.get(key))]
    # backwards, so that traffic leaves a workload before it goes, workloads leave before their service does, and so on
    gone = [now[key] for key in reversed(before) if key not in wanted and key in now]
    events = [*said, *(event for facet in gone for event in _taken_back(facet, wanted))]
    return events if command.declaration == topology.applied else [*events, TopologyApplied(command.declaration)]


def declared(declaration: Declaration) -> Topology:
    """The topology of a mesh that is just what `declaration` says. Raises: InvalidTopology."""
    services = {
        name: Service(said.protocol, said.contract, said.grpc_services, said.routes, {}, said.weights)
        for name, said in declaration.services.items()
    }
    for id_, workload in declaration.workloads.items():
        if workload.service not in services or workload.id != id_:
            raise InvalidTopology(
                f"workload {id_} is declared as {workload.id} of service {workload.service!r}; "
                f"its own name and one of the declared services ({', '.join(services) or 'none'}) belong there"
            )
        services[workload.service].workloads[id_] = workload
    return Topology(
        contracts=declaration.contracts,
        services=services,
        edge=declaration.edge,
        limits=declaration.limits,
        telemetry=declaration.telemetry,
        identity=declaration.identity,
        applied=declaration,
    )


def facets(topology: Topology) -> dict[Key, Facet]:
    """All that `topology` says, each as the event that says it, in an order in which it can be said to an empty mesh.

    What is empty (routes, weights) is not said. Before the first declaration limits, telemetry and identity are this
    program's defaults and not facts: so they are written to the log by it, and a later program with other defaults
    will not tell another story of the past.
    """
    found: dict[Key, Facet] = {}
    if topology.applied is not None:
        found[("identity",)] = IdentityGoverned(topology.identity)
        found[("limits",)] = LimitsSet(topology.limits)
        found[("telemetry",)] = TelemetryPointed(topology.telemetry)
    if topology.edge is not None:
        found[("edge",)] = EdgeOpened(topology.edge)
    services = topology.services.items()
    found |= {("contract", name): ContractPublished(name, said) for name, said in topology.contracts.items()}
    found |= {("service", name): ServiceDeclared(name, s.protocol, s.contract, s.grpc_services) for name, s in services}
    found |= {("routes", name): RoutesPublished(name, s.routes) for name, s in services if s.routes}
    found |= {
        ("workload", name, id_): WorkloadJoined(said) for name, s in services for id_, said in s.workloads.items()
    }
    found |= {("weights", name): TrafficShifted(name, s.weights) for name, s in services if s.weights}
    return found


def _taken_back(facet: Facet, wanted: dict[Key, Facet]) -> Iterator[MeshEvent]:
    """What ends `facet`. Routes and weights of a service that goes are not mentioned: they go with it."""
    match facet:
        case ContractPublished(contract):
            yield ContractWithdrawn(contract)
        case ServiceDeclared(service):
            yield ServiceRetired(service)
        case WorkloadJoined(workload):
            yield WorkloadLeft(workload.id, workload.service)
        case RoutesPublished(service):
            if ("service", service) in wanted:
                yield RoutesPublished(service, ())
        case TrafficShifted(service):
            if ("service", service) in wanted:
                yield TrafficShifted(service, {})
        case EdgeOpened() | LimitsSet() | TelemetryPointed() | IdentityGoverned():
            pass  # every declaration says these, so they never vanish
        case _:
            assert_never(facet)
