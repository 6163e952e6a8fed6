"""What hypothesis draws: declarations that make sense, commands that may not, and events in any order."""

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mesh.commands import ApplyTopology, ClearFault, Command, InjectFault, ShiftTraffic
from mesh.events import (
    ContractPublished,
    ContractWithdrawn,
    Declaration,
    DeclaredService,
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

# few names, so that what is drawn meets
SERVICES = ("a", "b", "a-rest", "b-rest")
VERSIONS = ("v1", "v2", "v3")
PORTS = {service: 15_100 + 100 * index for index, service in enumerate(SERVICES)}


@dataclass(frozen=True, slots=True)
class Placed:
    """One service of a declaration, with its workloads."""

    service: DeclaredService
    workloads: dict[str, Workload]


@st.composite
def percents(draw: DrawFn, versions: list[str]) -> dict[str, int]:
    """Weights of `versions` that sum to 100."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(versions) - 1, max_size=len(versions) - 1)))
    return {version: high - low for version, low, high in zip(versions, [0, *cuts], [*cuts, 100], strict=True)}


@st.composite
def placed_services(draw: DrawFn, name: str, least: int) -> Placed:
    """least: how many workloads there are at the least, 0 or 1."""
    replicas = draw(st.dictionaries(st.sampled_from(VERSIONS), st.integers(least, 2), min_size=least))
    first_port = PORTS[name] + draw(st.sampled_from([0, 50]))
    workloads = {
        f"{name}-{version}-{n}": Workload(
            f"{name}-{version}-{n}",
            name,
            version,
            f"127.0.0.1:{first_port + 10 * VERSIONS.index(version) + n}",
            "unix:app.sock",
        )
        for version, count in replicas.items()
        for n in range(count)
    }
    running = [version for version, count in replicas.items() if count]
    weights = draw(st.just({}) | percents(running)) if running else {}
    paths = draw(st.lists(st.sampled_from(["x", "y", "z"]), unique=True))
    routes = tuple(
        Route(f"{name}.{path}", "GET", f"/{name}/{path}", draw(st.sampled_from([1.0, 15.0])), draw(st.integers(0, 3)))
        for path in paths
    )
    if name.endswith("-rest"):
        return Placed(DeclaredService("http", "", (), routes, weights), workloads)
    return Placed(DeclaredService("grpc", "pspd", (f"pspd.Service{name.upper()}",), routes, weights), workloads)


@st.composite
def declarations(draw: DrawFn, least: int = 0) -> Declaration:
    """A declaration that passes every check by itself. least: how many services, and workloads of each, 0 or 1."""
    names = draw(st.lists(st.sampled_from(SERVICES), unique=True, min_size=least))
    placed = {name: draw(placed_services(name, least)) for name in names}
    contracts = {"pspd": draw(st.sampled_from([b"one", b"two"]))} | draw(st.just({}) | st.just({"other": b"three"}))
    return Declaration(
        contracts=contracts,
        services={name: said.service for name, said in placed.items()},
        workloads={id_: workload for said in placed.values() for id_, workload in said.workloads.items()},
        edge=Edge(grpc_port=draw(st.integers(8_000, 8_080))),
        limits=Limits(connections=draw(st.integers(1, 10_000))),
        telemetry=Telemetry(sampling_percent=draw(st.floats(0, 100))),
        identity=Identity(certificate_lifetime_seconds=draw(st.integers(10, 86_400))),
    )


def shifts() -> SearchStrategy[ShiftTraffic]:
    """Shifts that are sensible often enough, and sometimes not."""
    versions = st.lists(st.sampled_from(VERSIONS), unique=True, min_size=1)
    sensible = versions.flatmap(percents)
    wild = st.dictionaries(st.sampled_from([*VERSIONS, "v9"]), st.integers(-50, 150))
    return st.builds(ShiftTraffic, st.sampled_from([*SERVICES, "nobody"]), sensible | wild)


def faults() -> SearchStrategy[InjectFault | ClearFault]:
    """Some of workloads that may be there, some beyond the bounds."""
    workload = st.sampled_from([f"{name}-{version}-0" for name in SERVICES for version in VERSIONS])
    number = st.sampled_from([-1.0, 0.0, 0.5, 2.0, 100.0, 101.0, float("nan"), float("inf")])
    return st.builds(InjectFault, workload, number, number) | st.builds(ClearFault, workload)


def commands() -> SearchStrategy[Command]:
    return st.one_of(st.builds(ApplyTopology, declarations()), shifts(), faults())


def mesh_events() -> SearchStrategy[MeshEvent]:
    """Events that nobody decided: they come in any order, about things that may not be there."""
    service = st.sampled_from(SERVICES)
    version = st.sampled_from(VERSIONS)
    id_ = st.sampled_from([f"{name}-{number}" for name in SERVICES for number in VERSIONS])
    weights = st.dictionaries(version, st.integers())
    workload = st.builds(Workload, id_, service, version, st.text(), st.text())
    route = st.builds(Route, st.text(), st.text(), st.text(), st.floats())
    return st.one_of(
        st.builds(ContractPublished, st.text(), st.binary()),
        st.builds(ContractWithdrawn, st.text()),
        st.builds(ServiceDeclared, service, st.text()),
        st.builds(ServiceRetired, service),
        st.builds(RoutesPublished, service, st.lists(route).map(tuple)),
        st.builds(WorkloadJoined, workload),
        st.builds(WorkloadLeft, id_, service),
        st.builds(TrafficShifted, service, weights),
        st.builds(FaultInjected, id_, st.floats(allow_nan=False)),
        st.builds(FaultCleared, id_),
        st.builds(EdgeOpened, st.builds(Edge, st.text())),
        st.builds(LimitsSet, st.builds(Limits, st.integers())),
        st.builds(TelemetryPointed, st.builds(Telemetry, st.text())),
        st.builds(IdentityGoverned, st.builds(Identity, st.text())),
        st.builds(TopologyApplied, st.builds(Declaration, st.dictionaries(st.text(), st.binary()))),
    )
