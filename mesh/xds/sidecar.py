"""The complete configuration of a sidecar: mutual TLS in, for the edge alone; a plain connection out, to one workload.

Rules: the edge decides how long a call may take, the sidecar adds no timeout of its own; it tries nothing again.

How much one workload is sent at once: 200 streams a connection and 10 connections, that is 2,000 calls in flight; what
comes beyond waits here, where a waiting call costs kilobytes, and not in Python, where it costs a coroutine. 3,200 clients
are so served without an error, and 300 long streams leave a new call 1,700 places.
"""

from google.protobuf.message import Message

from mesh.errors import InvalidTopology
from mesh.events import Limits, Telemetry, Workload
from mesh.spiffe import EDGE, spiffe_id
from mesh.topology import Fault, Topology
from mesh.xds.clusters import (
    address,
    circuit_breakers,
    duration,
    http1_upstream,
    http2_options,
    http2_upstream,
    static_cluster,
)
from mesh.xds.fault import fault_filter
from mesh.xds.http import listener, otlp_cluster, rbac_filter, router_filter, tracing
from mesh.xds.messages import message
from mesh.xds.tls import downstream_mutual_tls

PREFIX = "sidecar-"
LISTENER = "inbound"
APP_CLUSTER = "app"
APP_STREAMS_PER_CONNECTION = 200
APP_CONNECTIONS = 10
APP_CALLS_IN_FLIGHT = APP_STREAMS_PER_CONNECTION * APP_CONNECTIONS
EDGE_STREAMS_PER_CONNECTION = 1_024
HEADERS_ADDED_BY_EDGE = 32  # above what a client may send, so that the sidecar never refuses what the edge let in
KIB_ADDED_BY_EDGE = 8


def sidecar_id(workload_id: str) -> str:
    """The node id of the sidecar beside a workload."""
    return PREFIX + workload_id


def sidecar_resources(topology: Topology, node_id: str, position: int) -> list[Message]:
    """Every resource of the sidecar `node_id`. `position` is not part of them: only edges stamp calls. Raises: InvalidTopology."""
    workload = _workload(topology, node_id)
    return [
        _app_cluster(workload, topology.services[workload.service].protocol, topology.limits),
        otlp_cluster(topology.telemetry),
        _inbound_listener(
            workload,
            topology.faults.get(workload.id),
            topology.identity.trust_domain,
            topology.limits,
            topology.telemetry,
        ),
    ]


def sidecar_inputs(topology: Topology, node_id: str) -> object:
    """All that sidecar_resources() reads of `topology`: where this is equal, so are the resources."""
    workload = _workload(topology, node_id)
    protocol = topology.services[workload.service].protocol
    fault = topology.faults.get(workload.id)
    return workload, protocol, fault, topology.limits, topology.telemetry, topology.identity


def _workload(topology: Topology, node_id: str) -> Workload:
    workload = topology.workloads().get(node_id.removeprefix(PREFIX))
    if workload is None:
        raise InvalidTopology(f"{node_id} stands beside no workload of the topology")
    return workload


def _app_cluster(workload: Workload, protocol: str, limits: Limits) -> Message:
    """The workload itself: HTTP/2 where it speaks gRPC, else HTTP/1.1 with a connection for each call in flight."""
    if protocol == "grpc":
        upstream = http2_upstream(streams_per_connection=APP_STREAMS_PER_CONNECTION)
        connections = APP_CONNECTIONS
    else:
        upstream = http1_upstream()
        connections = APP_CALLS_IN_FLIGHT
    waiting = limits.requests_per_service
    cluster: Message = static_cluster(
        APP_CLUSTER,
        [workload.app],
        upstream,
        circuit_breakers=circuit_breakers(connections=connections, requests=waiting, pending=waiting),
    )
    return cluster


def _inbound_listener(
    workload: Workload, fault: Fault | None, trust_domain: str, limits: Limits, telemetry: Telemetry
) -> Message:
    only_the_edge = rbac_filter([spiffe_id(trust_domain, EDGE)])
    manager = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")(
        stat_prefix=LISTENER,
        codec_type="AUTO",
        http_filters=[only_the_edge, *([fault_filter(fault)] if fault else []), router_filter()],
        route_config=_all_to_the_app(),
        tracing=tracing(telemetry, PREFIX + workload.service, tags={"meshlog.workload": workload.id}),
        http_protocol_options={"enable_trailers": True},  # how a stream that fails midway says so over HTTP/1.1
        http2_protocol_options=http2_options(EDGE_STREAMS_PER_CONNECTION),
        stream_idle_timeout=duration(limits.stream_idle_timeout_seconds),
        common_http_protocol_options={
            "idle_timeout": duration(limits.connection_idle_timeout_seconds),
            "max_headers_count": {"value": limits.request_headers_count + HEADERS_ADDED_BY_EDGE},
        },
        max_request_headers_kb={"value": limits.request_headers_kib + KIB_ADDED_BY_EDGE},
        preserve_external_request_id=True,  # the edge chose it
    )
    inbound: Message = listener(
        LISTENER, address(workload.address), manager, transport_socket=downstream_mutual_tls(trust_domain)
    )
    return inbound


def _all_to_the_app() -> Message:
    no_timeout = {"cluster": APP_CLUSTER, "timeout": duration(0)}
    route = {"name": APP_CLUSTER, "match": {"prefix": "/"}, "route": no_timeout}
    table: Message = message("envoy.config.route.v3.RouteConfiguration")(
        name=LISTENER, virtual_hosts=[{"name": APP_CLUSTER, "domains": ["*"], "routes": [route]}]
    )
    return table
