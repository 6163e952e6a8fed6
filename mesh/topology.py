"""What the mesh is now: the projection of its events that configuration is built from. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar, assert_never

from mesh.events import (
    ContractPublished,
    ContractWithdrawn,
    Declaration,
    Edge,
    EdgeOpened,
    FaultCleared,
    FaultInjected,
    Identity,
    IdentityGoverned,
    Limits,
    LimitsSet,
    MeshEvent,
    Route,
    RoutesPublished,
    ServiceDeclared,
    ServiceRetired,
    Telemetry,
    TelemetryPointed,
    TopologyApplied,
    TrafficShifted,
    Workload,
    WorkloadJoined,
    WorkloadLeft,
)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Service:
    protocol: str = "grpc"
    contract: str = ""
    grpc_services: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    workloads: dict[str, Workload] = field(default_factory=dict)  # by id
    weights: dict[str, int] = field(default_factory=dict)  # version -> percent; empty: all to the first version

    def versions(self) -> dict[str, list[Workload]]:
        """Workloads by version, in the order in which the versions joined."""
        found: dict[str, list[Workload]] = {}
        for workload in self.workloads.values():
            found.setdefault(workload.version, []).append(workload)
        return found

    def shares(self) -> dict[str, int]:
        """Percent of the calls that each version gets; sums to 100 where there is a workload at all."""
        versions = list(self.versions())
        if self.weights:
            return {version: self.weights.get(version, 0) for version in versions}
        return {version: 100 if index == 0 else 0 for index, version in enumerate(versions)}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is put in the way of a workload's calls, in its sidecar."""

    delay_ms: float
    percent: float = 100.0  # of the calls


@dataclass(frozen=True, slots=True)
class Topology:
    contracts: dict[str, bytes] = field(default_factory=dict)  # name -> FileDescriptorSet
    services: dict[str, Service] = field(default_factory=dict)
    edge: Edge | None = None
    limits: Limits = field(default_factory=Limits)
    telemetry: Telemetry = field(default_factory=Telemetry)
    identity: Identity = field(default_factory=Identity)
    applied: Declaration | None = None  # what was declared last
    faults: dict[str, Fault] = field(default_factory=dict)  # by the workload's id

    def workloads(self) -> dict[str, Workload]:
        return {id_: workload for service in self.services.values() for id_, workload in service.workloads.items()}


def evolve(topology: Topology, event: MeshEvent) -> Topology:
    """The topology after `event`. Never fails: an event in the log is a fact."""
    topology = replace(topology, faults=_evolve_faults(topology, event))
    match event:
        case ContractPublished() | ContractWithdrawn():
            return replace(topology, contracts=_evolve_contracts(topology.contracts, event))
        case EdgeOpened(edge):
            return replace(topology, edge=edge)
        case LimitsSet(limits):
            return replace(topology, limits=limits)
        case TelemetryPointed(telemetry):
            return replace(topology, telemetry=telemetry)
        case IdentityGoverned(identity):
            return replace(topology, identity=identity)
        case TopologyApplied(declaration):
            return replace(topology, applied=declaration)
        case FaultInjected() | FaultCleared():
            return topology
        case ServiceRetired(service):
            return replace(topology, services=_without(topology.services, service))
        case ServiceDeclared() | RoutesPublished() | TrafficShifted() | WorkloadJoined() | WorkloadLeft():
            owner = event.workload.service if isinstance(event, WorkloadJoined) else event.service
            after = _evolve_service(topology.services.get(owner, Service()), event)
            return replace(topology, services={**topology.services, owner: after})
        case _:
            assert_never(event)


def evolved(events: Iterable[MeshEvent], topology: Topology | None = None) -> Topology:
    """The topology after all `events`, starting from `topology` (an empty mesh)."""
    topology = topology or Topology()
    for event in events:
        topology = evolve(topology, event)
    return topology


def _evolve_contracts(contracts: dict[str, bytes], event: ContractPublished | ContractWithdrawn) -> dict[str, bytes]:
    match event:
        case ContractPublished(contract, descriptor_set):
            return {**contracts, contract: descriptor_set}
        case ContractWithdrawn(contract):
            return _without(contracts, contract)
        case _:
            assert_never(event)


def _evolve_faults(topology: Topology, event: MeshEvent) -> dict[str, Fault]:
    """A fault goes when it is cleared, and with its workload, however that goes."""
    match event:
        case FaultInjected(workload, delay_ms, percent):
            return {**topology.faults, workload: Fault(delay_ms, percent)}
        case FaultCleared(workload) | WorkloadLeft(workload):
            return _without(topology.faults, workload)
        case ServiceRetired(service):
            return _without(topology.faults, *topology.services.get(service, Service()).workloads)
        case _:
            return topology.faults


def _evolve_service(
    service: Service, event: ServiceDeclared | RoutesPublished | TrafficShifted | WorkloadJoined | WorkloadLeft
) -> Service:
    match event:
        case ServiceDeclared(_, protocol, contract, grpc_services):
            return replace(service, protocol=protocol, contract=contract, grpc_services=grpc_services)
        case RoutesPublished(_, routes):
            return replace(service, routes=routes)
        case TrafficShifted(_, weights):
            return replace(service, weights=weights)
        case WorkloadJoined(workload):
            return replace(service, workloads={**service.workloads, workload.id: workload})
        case WorkloadLeft(id_):
            return replace(service, workloads=_without(service.workloads, id_))
        case _:
            assert_never(event)


def _without(mapping: dict[str, Value], *keys: str) -> dict[str, Value]:
    return {name: value for name, value in mapping.items() if name not in keys}
