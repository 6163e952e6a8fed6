"""What an Envoy is started with: who it is, where its configuration comes from, how it is administered. Nothing else.

Rules: everything it serves comes by ADS; paths are relative to its own directory, so the file is the same wherever a
node runs. It waits for its configuration without end rather than start with none; it asks again several times a second.
"""

from google.protobuf import json_format
from google.protobuf.message import Message

from mesh.spiffe import CONTROL_PLANE, spiffe_id
from mesh.topology import Topology
from mesh.xds.admin import admin_address, admin_cluster, admin_listener
from mesh.xds.clusters import (
    ads_source,
    circuit_breakers,
    duration,
    http2_upstream,
    static_cluster,
)
from mesh.xds.messages import message, packed, pool
from mesh.xds.tls import upstream_mutual_tls

ADS_CLUSTER = "ads"
ADS_SOCKET = "unix:../../ads.sock"
RECONNECT_SECONDS = 0.1
SLOWEST_RECONNECT_SECONDS = 1.0
SPANS_AT_ONCE = 100  # in one request under load: most of what a span costs is the request
SPAN_FLUSH_MILLISECONDS = 250  # a trace can be read within a second of its call
HEAP_BYTES = 1 << 30  # three times what 3,200 connections take


def bootstrap(
    node_id: str,
    *,
    trust_domain: str,
    connections: int,
    admin_port: int | None = None,
    ads: str = ADS_SOCKET,
) -> Message:
    """The Bootstrap of `node_id`.

    connections: from clients, at most, on all listeners; beyond, and where memory runs out, no new one is taken.
    admin_port: where the administration can be read, on the loopback interface; None: on its socket alone.
    ads: where the control plane is reached.
    """
    bootstrap_: Message = message("envoy.config.bootstrap.v3.Bootstrap")(
        node={"id": node_id, "cluster": trust_domain},
        admin={"address": admin_address(), "ignore_global_conn_limit": True},
        static_resources={
            "clusters": [_ads_cluster(ads, trust_domain), *([admin_cluster()] if admin_port else [])],
            "listeners": [admin_listener(admin_port)] if admin_port else [],
        },
        dynamic_resources={"ads_config": _ads(), "cds_config": ads_source(), "lds_config": ads_source()},
        layered_runtime={"layers": [{"name": "meshlog", "static_layer": _runtime()}]},
        overload_manager=_overload_manager(connections),
    )
    return bootstrap_


def bootstrap_json(node_id: str, topology: Topology, *, admin_port: int | None = None) -> str:
    """The bootstrap file of a node of `topology`."""
    is_edge = topology.edge is not None and topology.edge.id == node_id
    limits = topology.limits
    built = bootstrap(
        node_id,
        trust_domain=topology.identity.trust_domain,
        admin_port=admin_port,
        connections=limits.connections if is_edge else limits.connections_per_service,
    )
    return json_format.MessageToJson(built, preserving_proto_field_name=True, descriptor_pool=pool())


def _ads() -> Message:
    reconnect = {
        "retry_back_off": {
            "base_interval": duration(RECONNECT_SECONDS),
            "max_interval": duration(SLOWEST_RECONNECT_SECONDS),
        }
    }
    source: Message = message("envoy.config.core.v3.ApiConfigSource")(
        api_type="DELTA_GRPC",
        transport_api_version="V3",
        set_node_on_first_message_only=True,
        grpc_services=[{"envoy_grpc": {"cluster_name": ADS_CLUSTER, "retry_policy": reconnect}}],
    )
    return source


def _ads_cluster(ads: str, trust_domain: str) -> Message:
    cluster: Message = static_cluster(
        ADS_CLUSTER,
        [ads],
        http2_upstream(streams_per_connection=8),
        circuit_breakers=circuit_breakers(connections=4, requests=8, pending=8),
        transport_socket=upstream_mutual_tls(spiffe_id(trust_domain, CONTROL_PLANE)),
    )
    return cluster


def _runtime() -> dict[str, int]:
    return {
        "tracing.opentelemetry.flush_interval_ms": SPAN_FLUSH_MILLISECONDS,
        "tracing.opentelemetry.min_flush_spans": SPANS_AT_ONCE,
    }


def _overload_manager(connections: int) -> Message:
    """No more than `connections`; and when the heap is nearly full, give back memory, then take no new requests."""
    limit = message("envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig")
    heap = message("envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig")
    heap_monitor = "envoy.resource_monitors.fixed_heap"
    manager: Message = message("envoy.config.overload.v3.OverloadManager")(
        refresh_interval=duration(0.25),
        resource_monitors=[
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": packed(limit(max_active_downstream_connections=connections)),
            },
            {"name": heap_monitor, "typed_config": packed(heap(max_heap_size_bytes=HEAP_BYTES))},
        ],
        actions=[
            {
                "name": f"envoy.overload_actions.{action}",
                "triggers": [{"name": heap_monitor, "threshold": {"value": at}}],
            }
            for action, at in (("shrink_heap", 0.8), ("disable_http_keepalive", 0.9), ("stop_accepting_requests", 0.95))
        ],
    )
    return manager
