"""A small topology for tests: one service "w" behind an edge without any feature. envoys.py runs it."""

from dataclasses import replace

from google.protobuf.message import Message

from mesh.events import Edge, Workload
from mesh.spiffe import spiffe_id
from mesh.tests.ports import ports
from mesh.topology import Service, Topology
from mesh.xds.clusters import (
    address,
    ads_source,
    circuit_breakers,
    duration,
    eds_cluster,
    endpoints,
    http1_upstream,
    http2_upstream,
)
from mesh.xds.http import listener, router_filter
from mesh.xds.messages import message
from mesh.xds.tls import connection_seconds, upstream_mutual_tls

DOMAIN = "test.local"

free_port = ports(21_000, 21_500)


def edge_resources(topology: Topology, node_id: str, position: int) -> list[Message]:
    """An edge without any feature: a version's share of calls, and the position they are served under."""
    assert topology.edge
    resources = [_edge_listener(topology.edge), _route_table(topology, position)]
    for name, service in topology.services.items():
        for version, workloads in service.versions().items():
            cluster = f"{name}-{version}"
            resources.append(endpoints(cluster, [workload.address for workload in workloads]))
            resources.append(_version_cluster(cluster, name, topology))
    return resources


def _version_cluster(cluster: str, service: str, topology: Topology) -> Message:
    lifetime = connection_seconds(topology.identity.certificate_lifetime_seconds)
    limits = topology.limits
    speaks_grpc = topology.services[service].protocol == "grpc"
    http2 = http2_upstream(streams_per_connection=1_024, connection_seconds=lifetime)
    server = spiffe_id(topology.identity.trust_domain, service)
    made: Message = eds_cluster(
        cluster,
        http2 if speaks_grpc else http1_upstream(connection_seconds=lifetime),
        transport_socket=upstream_mutual_tls(server, alpn="h2" if speaks_grpc else "http/1.1"),
        circuit_breakers=circuit_breakers(
            connections=limits.connections_per_service, requests=limits.requests_per_service, pending=1_000
        ),
    )
    return made


def _edge_listener(edge: Edge) -> Message:
    manager = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")(
        stat_prefix="edge",
        rds={"route_config_name": "main", "config_source": ads_source()},
        http_filters=[router_filter()],
    )
    made: Message = listener("main", address(f"{edge.address}:{edge.grpc_port}"), manager)
    return made


def _route_table(topology: Topology, position: int) -> Message:
    routes = []
    for name, service in topology.services.items():
        shares = [{"name": f"{name}-{v}", "weight": {"value": share}} for v, share in service.shares().items()]
        action = {"weighted_clusters": {"clusters": shares}, "timeout": duration(0)}
        routes.append({"match": {"prefix": f"/{name}"}, "route": action})
    stamp = {"header": {"key": "x-meshlog-position", "value": str(position)}}
    table: Message = message("envoy.config.route.v3.RouteConfiguration")(
        name="main",
        virtual_hosts=[{"name": "all", "domains": ["*"], "routes": routes}],
        response_headers_to_add=[stamp],
    )
    return table


def topology(
    versions: tuple[str, ...] = ("v1",), weights: dict[str, int] | None = None, protocol: str = "http"
) -> Topology:
    """One service "w" with one workload of each version, behind an edge; on ports of its own."""
    workloads = {
        id_: Workload(id_, "w", version, f"127.0.0.1:{free_port()}", "unix:app.sock")
        for version in versions
        for id_ in [f"w-{version}-1"]
    }
    edge = Edge(grpc_port=free_port(), rest_port=free_port(), admin_port=free_port())
    base = Topology(edge=edge, services={"w": Service(protocol, workloads=workloads, weights=weights or {})})
    return replace(base, identity=replace(base.identity, trust_domain=DOMAIN))


def joined(before: Topology, version: str) -> Topology:
    """`before`, and one workload of another version."""
    service = before.services["w"]
    workload = Workload(f"w-{version}-1", "w", version, f"127.0.0.1:{free_port()}", "unix:app.sock")
    return replace(before, services={"w": replace(service, workloads={**service.workloads, workload.id: workload})})


def left(before: Topology, version: str) -> Topology:
    """`before` without the workloads of a version."""
    service = before.services["w"]
    staying = {id_: workload for id_, workload in service.workloads.items() if workload.version != version}
    return replace(before, services={"w": replace(service, workloads=staying)})


def shifted(before: Topology, weights: dict[str, int]) -> Topology:
    return replace(before, services={"w": replace(before.services["w"], weights=weights)})
