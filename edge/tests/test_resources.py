"""What the edge's Envoy is told, and that Envoy takes it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

from edge.resources import edge_resources
from edge.tests.given import CONTRACT, POSITION, ROOT, Ports, a_mesh, static_bootstrap
from edge.tests.running import validated
from mesh.errors import InvalidTopology
from mesh.events import (
    ContractPublished,
    Edge,
    EdgeOpened,
    MeshEvent,
    Route,
    RoutesPublished,
    ServiceDeclared,
    Telemetry,
    TelemetryPointed,
    TrafficShifted,
    Workload,
    WorkloadJoined,
    WorkloadLeft,
)
from mesh.topology import Topology, evolve, evolved
from mesh.xds.messages import unpacked

PORTS = Ports(21500)
TWO_VERSIONS = WorkloadJoined(Workload("a-v2-1", "a", "v2", "127.0.0.1:21519", "unix:app.sock"))
MESH = a_mesh(PORTS, grpc_apps=[PORTS.app(0)], rest_apps=[PORTS.app(1)])
LONELY = evolved([EdgeOpened(Edge(grpc_port=PORTS.grpc, rest_port=PORTS.rest, admin_port=PORTS.admin))])


def built(topology: Topology, kind: str, position: int = POSITION) -> dict[str, Any]:
    """The resources of one kind, by name."""
    resources: list[Any] = list(edge_resources(topology, "edge", position))
    of_kind = [resource for resource in resources if resource.DESCRIPTOR.name == kind]
    return {getattr(resource, "name", "") or resource.cluster_name: resource for resource in of_kind}


def route(topology: Topology, table: str, name: str) -> Any:
    routes = built(topology, "RouteConfiguration")[table].virtual_hosts[0].routes
    return next(route for route in routes if route.name == name)


def manager(topology: Topology, listener: str) -> Any:
    return unpacked(built(topology, "Listener")[listener].filter_chains[0].filters[0].typed_config)


@pytest.mark.parametrize(
    "topology",
    [
        pytest.param(MESH, id="the default mesh"),
        pytest.param(LONELY, id="an edge and nothing behind it"),
        pytest.param(a_mesh(PORTS), id="services that nobody does the work of"),
        pytest.param(evolved([TWO_VERSIONS, TrafficShifted("a", {"v1": 90, "v2": 10})], MESH), id="two versions"),
        pytest.param(a_mesh(PORTS, allow_origins=("https://x.example", "*")), id="pages of other sites may call"),
        pytest.param(a_mesh(PORTS, journal=False), id="calls leave no trace"),
        pytest.param(
            evolve(MESH, TelemetryPointed(Telemetry("http://127.0.0.1:4318", "http/protobuf"))), id="spans over HTTP"
        ),
        pytest.param(evolve(MESH, TelemetryPointed(Telemetry())), id="spans to nobody"),
    ],
)
def test_envoy_takes_the_configuration_of(topology: Topology, tmp_path: Path) -> None:
    result = validated(static_bootstrap(topology), tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_same_topology_and_position_give_the_same_bytes() -> None:
    def written(resources: list[Message]) -> list[bytes]:
        return [resource.SerializeToString(deterministic=True) for resource in resources]

    assert written(edge_resources(MESH, "edge", 3)) == written(edge_resources(MESH, "edge", 3))


@pytest.mark.parametrize("listener", ["grpc", "rest"])
def test_an_edge_without_a_journal_has_no_program_and_no_access_log_for_it(listener: str) -> None:
    journaled, silent = manager(MESH, listener), manager(a_mesh(PORTS, journal=False), listener)
    assert [filter_.name for filter_ in silent.http_filters] == [filter_.name for filter_ in journaled.http_filters]
    assert b"CallAnswered" in journaled.http_filters[0].SerializeToString()
    assert b"CallAnswered" not in silent.http_filters[0].SerializeToString()
    assert (len(journaled.access_log), len(silent.access_log)) == (1, 0)


def test_a_node_that_is_not_the_edge_is_told_nothing() -> None:
    assert edge_resources(MESH, "sidecar-a-v1-1", POSITION) == []
    assert edge_resources(Topology(), "edge", POSITION) == []


def test_position_and_weights_stand_in_the_route_tables_alone() -> None:
    both = evolve(MESH, TWO_VERSIONS)
    before = edge_resources(both, "edge", 7)
    after = edge_resources(evolve(both, TrafficShifted("a", {"v1": 50, "v2": 50})), "edge", 8)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert {resource.DESCRIPTOR.name for resource in changed} == {"RouteConfiguration"}


def test_a_version_without_a_share_gets_no_calls() -> None:
    assert [c.name for c in route(evolve(MESH, TWO_VERSIONS), "grpc", "a.hello").route.weighted_clusters.clusters] == [
        "a-v1"
    ]
    shifted = evolved([TWO_VERSIONS, TrafficShifted("a", {"v1": 90, "v2": 10})], MESH)
    for name in ("a.hello", "pspd.ServiceA/SayHello"):
        clusters = route(shifted, "grpc", name).route.weighted_clusters.clusters
        assert [(c.name, c.weight.value) for c in clusters] == [("a-v1", 90), ("a-v2", 10)]


def test_both_paths_have_the_same_filters_and_limits() -> None:
    grpc, rest = manager(MESH, "grpc"), manager(MESH, "rest")
    assert [f.name for f in grpc.http_filters] == [f.name for f in rest.http_filters]
    assert grpc.http_filters[0].name == "program"  # it is told of the request before anybody changes it
    for asked in (grpc, rest):
        del asked.http_filters[:]  # the program knows which path it stands on
        for field in ("stat_prefix", "rds"):
            asked.ClearField(field)
    assert grpc == rest


def test_what_only_grpc_needs_is_off_on_every_route_of_rest() -> None:
    for route in built(MESH, "RouteConfiguration")["rest"].virtual_hosts[0].routes:
        assert [name for name, switch in route.typed_per_filter_config.items() if not unpacked(switch).disabled] == []
    off = {f.name for f in manager(MESH, "rest").http_filters if f.disabled}
    assert off == {"stream_format", "transcoder", "stream_status", "stream_abort"}


def test_only_what_changes_nothing_is_tried_again() -> None:
    assert route(MESH, "grpc", "a.hello").route.retry_policy.num_retries.value == 2
    assert route(MESH, "grpc", "pspd.ServiceA/SayHello").route.retry_policy.num_retries.value == 2
    assert not route(MESH, "grpc", "b.numbers").route.HasField("retry_policy")

    described = FileDescriptorSet.FromString(CONTRACT)
    for file in described.file:
        for service in file.service:
            for method in service.method:
                method.options.ClearField("idempotency_level")
    careless = evolve(MESH, ContractPublished("pspd", described.SerializeToString()))
    assert not route(careless, "grpc", "pspd.ServiceA/SayHello").route.HasField("retry_policy")


def test_a_native_call_has_the_time_of_its_methods_route_whatever_http_method_that_has() -> None:
    echo: list[MeshEvent] = [
        ContractPublished("echo", (ROOT / "services/stubs/echo.binpb").read_bytes()),
        ServiceDeclared("echo", "grpc", "echo", ("meshlog.bench.v1.Echo",)),
        RoutesPublished("echo", (Route("echo.echo", "POST", "/echo", timeout_seconds=7),)),
        WorkloadJoined(Workload("echo-v1-1", "echo", "v1", "127.0.0.1:21518", "unix:app.sock")),
    ]
    for name in ("echo.echo", "meshlog.bench.v1.Echo/Echo"):
        action = route(evolved(echo, MESH), "grpc", name).route
        assert action.timeout.seconds == 7
        assert not action.HasField("retry_policy")


def test_a_call_to_a_service_without_workloads_is_answered_503_by_the_edge() -> None:
    gone = evolve(MESH, WorkloadLeft("a-v1-1", "a"))
    assert route(gone, "grpc", "a.hello").direct_response.status == 503
    assert "a-v1" not in built(gone, "Cluster")


def test_pages_of_other_sites_may_use_the_methods_that_there_are_routes_for() -> None:
    open_to_pages = a_mesh(PORTS, allow_origins=("https://x.example",))
    post = Route("a.greet", "POST", "/a/greet", timeout_seconds=1)
    both = evolve(open_to_pages, RoutesPublished("a", (*open_to_pages.services["a"].routes, post)))
    policy = built(both, "RouteConfiguration")["grpc"].virtual_hosts[0].typed_per_filter_config["cors"]
    assert unpacked(policy).allow_methods == "GET,POST"


def test_one_virtual_host_takes_every_name() -> None:
    for table in built(MESH, "RouteConfiguration").values():
        assert [list(host.domains) for host in table.virtual_hosts] == [["*"]]


def test_a_version_is_spoken_to_by_mutual_tls_with_its_services_identity() -> None:
    for cluster in built(MESH, "Cluster").values():
        if cluster.HasField("eds_cluster_config"):
            context = unpacked(cluster.transport_socket.typed_config).common_tls_context
            names = context.combined_validation_context.default_validation_context.match_typed_subject_alt_names
            assert [san.matcher.exact for san in names] == [f"spiffe://pspd.local/{cluster.name.removesuffix('-v1')}"]


def test_a_service_that_no_contract_describes_is_refused() -> None:
    with pytest.raises(InvalidTopology, match=r"no contract describes pspd\.ServiceC"):
        edge_resources(evolve(MESH, ServiceDeclared("c", "grpc", "pspd", ("pspd.ServiceC",))), "edge", POSITION)


def test_two_contracts_may_share_a_file_but_not_a_files_name() -> None:
    assert edge_resources(evolve(MESH, ContractPublished("again", CONTRACT)), "edge", POSITION)
    other = FileDescriptorSet.FromString(CONTRACT)
    other.file[-1].message_type.add(name="Surprise")
    with pytest.raises(InvalidTopology, match="has another"):
        edge_resources(evolve(MESH, ContractPublished("other", other.SerializeToString())), "edge", POSITION)


def test_circuit_breakers_let_3200_clients_through() -> None:
    thresholds = built(MESH, "Cluster")["a-v1"].circuit_breakers.thresholds[0]
    for bound in ("max_connections", "max_pending_requests", "max_requests", "max_retries"):
        assert getattr(thresholds, bound).value >= 3_200
    fewer = replace(MESH, limits=replace(MESH.limits, requests_per_service=10))
    assert built(fewer, "Cluster")["a-v1"].circuit_breakers.thresholds[0].max_requests.value == 10
