"""What no command may lead to: one row for each thing that can be wrong."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mesh.commands import ApplyTopology
from mesh.decide import decide
from mesh.errors import InvalidTopology
from mesh.events import (
    Declaration,
    DeclaredService,
    Edge,
    Identity,
    Limits,
    MeshEvent,
    Route,
    ServiceDeclared,
    Telemetry,
    Workload,
    WorkloadJoined,
)
from mesh.invariants import check, problems
from mesh.tests.declared_samples import A_V1, DECLARED, HELLO, A, B, by_id, weighted, workload
from mesh.tests.given import given
from mesh.topology import Topology, evolved

Change = Callable[[Declaration], Declaration]


def services(**said: DeclaredService) -> Change:
    named = {name.replace("_", "-"): service for name, service in said.items()}
    return lambda it: replace(it, services={**it.services, **named})


def workloads(*said: Workload) -> Change:
    return lambda it: replace(it, workloads={**it.workloads, **by_id(*said)})


def route(**said: object) -> Change:
    changed: Route = replace(HELLO, **said)  # type: ignore[arg-type]
    return services(a=replace(A, routes=(changed,)))


def setting(**said: Edge | Limits | Telemetry | Identity) -> Change:
    return lambda it: replace(it, **said)  # type: ignore[arg-type]


def weights(**said: int) -> Change:
    return lambda it: weighted(it, "a", said)


WRONG: list[tuple[Change, str]] = [
    (services(A=B), "service 'A': a name begins with"),
    (services(**{"a" * 41: B}), f"service '{'a' * 41}': a name begins with"),
    (services(**{"a\n": B}), r"service 'a\n': a name begins with"),
    (services(edge=B), "service edge: the mesh itself uses this name"),
    (services(control_plane=B), "service control-plane: the mesh itself uses this name"),
    (services(sidecar_a=B), "service sidecar-a: the mesh itself uses this name"),
    (workloads(workload("a", "V1", 2, 15101)), "version of a 'V1': a name"),
    (workloads(Workload("a_1", "a", "v1", "127.0.0.1:15101", "unix:app.sock")), "workload 'a_1' of a: an id"),
    (workloads(workload("a", "v1", 2, 0)), "address '127.0.0.1:0' is not of the form"),
    (workloads(Workload("a-x", "a", "v1", "localhost:15101", "unix:app.sock")), "address 'localhost:15101'"),
    (workloads(Workload("a-x", "a", "v1", "::1:15101", "unix:app.sock")), "address '::1:15101'"),
    (workloads(Workload("a-x", "a", "v1", "127.0.0.1:15101", "unix:")), "workload a-x of a: app is empty"),
    (
        workloads(workload("a", "v1", 2, 15100)),
        "address 127.0.0.1:15100 is given to two workloads, a's a-v1-1 and a's a-v1-2",
    ),
    (services(a=replace(A, protocol="soap")), "service a: protocol 'soap' is not known"),
    (services(a=replace(A, contract="")), "service a: contract '' is not published; name one of: pspd"),
    (services(a=replace(A, grpc_services=())), "service a: it implements no gRPC service"),
    (services(b=replace(B, contract="pspd")), "service b: only a gRPC service has a contract"),
    (services(c=replace(A, routes=())), "gRPC service pspd.ServiceA is claimed twice, by a and by c"),
    (route(path="/b/numbers", name="b.numbers"), "route name b.numbers is used twice, by a for /b/numbers and by b"),
    (
        services(a=replace(A, routes=(HELLO, replace(HELLO, name="again")))),
        "GET /a/hello on the grpc path is routed twice",
    ),
    (route(name="a hello"), "the name 'a hello' is not letters"),
    (route(method="get"), "route a.hello of a: method 'get' is not known"),
    (route(path="/"), "route a.hello of a: / is the edge's own"),
    (route(path="/healthz"), "/healthz is the edge's own"),
    (route(path="a/hello"), "'a/hello' is not a path"),
    (route(path="/a/hello?x=1"), "'/a/hello?x=1' is not a path"),
    (route(path="/a/{name}"), "'/a/{name}' is not a path"),
    (route(path="/a//b"), "'/a//b' is not a path"),
    (route(timeout_seconds=0.0), "timeout_seconds is 0.0"),
    (route(timeout_seconds=float("nan")), "timeout_seconds is nan"),
    (route(retries=-1), "retries is -1"),
    (route(method="POST"), "a POST sent again may be done twice"),
    (weights(v1=60, v2=60), "service a: weights are percents from 0 to 100 that sum to 100, and v1=60 v2=60 are not"),
    (weights(v1=150, v2=-50), "v1=150 v2=-50 are not"),
    (weights(v3=100), "100 % of its traffic would go to version v3, which has no workload"),
    (setting(edge=Edge(id="sidecar-a-v1-1")), "edge sidecar-a-v1-1: a sidecar or a workload has this name"),
    (setting(edge=Edge(id="a-v1-1")), "edge a-v1-1: a sidecar or a workload has this name"),
    (setting(edge=Edge(id="Edge")), "edge 'Edge': a name"),
    (setting(edge=Edge(address="localhost")), "edge: address 'localhost' is not an IP address"),
    (setting(edge=Edge(grpc_host="PSPD.local")), "edge: grpc_host 'PSPD.local'"),
    (setting(edge=Edge(allow_origins=("example.org",))), "allow_origins has 'example.org'"),
    (setting(edge=Edge(grpc_port=0)), "edge: grpc_port is 0"),
    (setting(edge=Edge(rest_port=65_536)), "edge: rest_port is 65536"),
    (setting(edge=Edge(rest_port=8080)), "edge: grpc_port and rest_port are both 8080"),
    (setting(edge=Edge(grpc_port=15100)), "edge: grpc_port 15100 is that of workload a-v1-1"),
    (setting(edge=Edge(address="0.0.0.0", rest_port=15100)), "rest_port 15100 is that of workload a-v1-1"),  # noqa: S104
    (setting(edge=Edge(address="10.0.0.1", admin_port=15100)), "admin_port 15100 is that of workload a-v1-1"),
    (setting(limits=Limits(connections=0)), "limits: connections is 0"),
    (
        setting(limits=Limits(request_headers_kib=8_193)),
        "request_headers_kib is 8193; it must be above 0 and at most 8192",
    ),
    (setting(limits=Limits(request_timeout_seconds=float("nan"))), "request_timeout_seconds is nan"),
    (setting(telemetry=Telemetry(sampling_percent=101)), "sampling_percent is 101"),
    (setting(telemetry=Telemetry(sampling_percent=float("nan"))), "sampling_percent is nan"),
    (
        setting(telemetry=Telemetry(protocol="http/json")),
        "protocol 'http/json' is not known; say grpc or http/protobuf",
    ),
    (setting(telemetry=Telemetry("https://collector:4317")), "endpoint 'https://collector:4317' is not of the form"),
    (setting(telemetry=Telemetry("http://collector")), "endpoint 'http://collector'"),
    (setting(telemetry=Telemetry("http://collector:99999")), "endpoint 'http://collector:99999'"),
    (setting(telemetry=Telemetry("http://collector:4317/base")), "a path only for http/protobuf"),
    (setting(identity=Identity("Not A Domain")), "trust_domain 'Not A Domain'"),
    (setting(identity=Identity("a" * 254)), "trust_domain"),
    (setting(identity=Identity(certificate_lifetime_seconds=9)), "certificate_lifetime_seconds is 9"),
]


@pytest.mark.parametrize(("change", "saying"), WRONG, ids=[saying[:60] for _, saying in WRONG])
def test_a_topology_that_cannot_be_is_refused_by_name(change: Change, saying: str) -> None:
    given().when(ApplyTopology(change(DECLARED))).refuses(InvalidTopology, saying)


def test_a_contract_has_a_name_too() -> None:
    declaration = replace(DECLARED, contracts={**DECLARED.contracts, "p.s": b""})
    given().when(ApplyTopology(declaration)).refuses(InvalidTopology, "contract 'p.s': a name")


def test_two_services_whose_versions_would_share_a_cluster_are_refused() -> None:
    both = services(x=DeclaredService("http"), x_y=DeclaredService("http"))
    placed = workloads(workload("x", "y-v1", 1, 15300), workload("x-y", "v1", 2, 15400))
    wished = given().when(ApplyTopology(placed(both(DECLARED))))
    wished.refuses(InvalidTopology, "x-y-v1 would mean a version of x as well as one of x-y")


def test_two_services_cannot_have_workloads_of_one_id() -> None:
    stray: list[MeshEvent] = [
        ServiceDeclared("b", "http"),
        WorkloadJoined(replace(A_V1, service="b", address="127.0.0.1:1")),
    ]
    topology = evolved([ServiceDeclared("a", "http"), WorkloadJoined(A_V1), *stray])
    assert list(problems(topology)) == [
        "workload id a-v1-1 is used twice, as a's a-v1-1 and as b's a-v1-1; rename a service or a version"
    ]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    topology = replace(Topology(), limits=Limits(connections=0), identity=Identity(certificate_lifetime_seconds=0))
    with pytest.raises(InvalidTopology) as refusal:
        check(topology)
    assert len(str(refusal.value).splitlines()) == 2


def remote(declaration: Declaration) -> Declaration:
    placed = workloads(replace(A_V1, address="10.0.0.2:8080"))(declaration)
    return replace(placed, edge=Edge(address="0.0.0.0"))  # noqa: S104


RIGHT: list[tuple[str, Change]] = [
    ("an empty mesh", lambda _: Declaration()),
    ("a service without workloads", services(c=DeclaredService("http"))),
    ("the same route on both paths of the edge", services(b=replace(B, routes=(replace(HELLO, name="b.hello"),)))),
    ("two methods of one path", services(a=replace(A, routes=(HELLO, Route("a.set", "PUT", "/a/hello", 1.0))))),
    ("a version with no share and no workload", weights(v1=100, v9=0)),
    ("the port of a workload elsewhere", remote),
    ("an edge that is open to other machines", setting(edge=Edge(address="0.0.0.0"))),  # noqa: S104
    ("IPv6", workloads(Workload("a-v1-2", "a", "v1", "[::1]:15101", "127.0.0.1:50051"))),
    (
        "an OTLP endpoint with a path over HTTP",
        setting(telemetry=Telemetry("http://jaeger:4318/otlp", "http/protobuf")),
    ),
    ("nothing traced", setting(telemetry=Telemetry(sampling_percent=0))),
    ("origins", setting(edge=Edge(allow_origins=("*", "https://example.org:8443")))),
]


@pytest.mark.parametrize("change", [change for _, change in RIGHT], ids=[what for what, _ in RIGHT])
def test_what_is_unusual_but_possible_is_accepted(change: Change) -> None:
    assert list(problems(applied(change(DECLARED)))) == []


def applied(declaration: Declaration) -> Topology:
    return evolved(decide(Topology(), ApplyTopology(declaration)))
