"""What the listeners of edge and sidecars have in common: filters, tracing, the listener itself.

Clusters and addresses are in clusters.py, mutual TLS in tls.py. Small builders of plain arguments, named for what they
return; a returned HttpFilter, Tracing or Listener goes into the next message as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.message import Message

from mesh.errors import InvalidTopology
from mesh.events import Telemetry
from mesh.xds.clusters import circuit_breakers, duration, http1_upstream, http2_upstream, static_cluster
from mesh.xds.messages import message, packed
from mesh.xds.tls import HANDSHAKE_SECONDS

OTLP_CLUSTER = "otlp"
EXPORT_TIMEOUT_SECONDS = 1.0
SPANS_IN_FLIGHT = 128  # exports at once: a slow collector loses spans, never memory


def listener(name: str, address: Message, manager: Message, *, transport_socket: Message | None = None) -> Any:
    """One listener with one filter chain: the HttpConnectionManager `manager`."""
    chain = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": packed(manager)}],
        "transport_socket": transport_socket,
        "transport_socket_connect_timeout": duration(HANDSHAKE_SECONDS) if transport_socket else None,
    }
    return message("envoy.config.listener.v3.Listener")(
        name=name,
        address=address,
        filter_chains=[chain],
        enable_reuse_port={"value": False},  # otherwise two meshes on one port share the traffic without a word
    )


def http_filter(name: str, configuration: Message, *, disabled: bool = False) -> Any:
    """An HttpFilter; `disabled` until a route switches it on."""
    return message("envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter")(
        name=name, typed_config=packed(configuration), disabled=disabled
    )


def router_filter() -> Any:
    """The last filter: sends the call on. Clients need no x-envoy-* headers."""
    router = message("envoy.extensions.filters.http.router.v3.Router")(suppress_envoy_headers=True)
    return http_filter("envoy.filters.http.router", router)


def lua_filter(name: str, source: str, *, disabled: bool = False) -> Any:
    """An HttpFilter that runs the Lua program `source` (envoy_on_request, envoy_on_response)."""
    lua = message("envoy.extensions.filters.http.lua.v3.Lua")(default_source_code={"inline_string": source})
    return http_filter(name, lua, disabled=disabled)


def rbac_filter(callers: Sequence[str]) -> Any:
    """A filter that lets in the SPIFFE ids `callers` and nobody else (403). An empty sequence lets in nobody."""
    principals = [{"authenticated": {"principal_name": {"exact": caller}}} for caller in callers]
    policies = {"callers": {"permissions": [{"any": True}], "principals": principals}} if principals else {}
    rules = message("envoy.extensions.filters.http.rbac.v3.RBAC")(rules={"action": "ALLOW", "policies": policies})
    return http_filter("envoy.filters.http.rbac", rules)


def tracing(
    telemetry: Telemetry, service_name: str, *, sampling_percent: float = 100.0, tags: Mapping[str, str] | None = None
) -> Any:
    """The Tracing of an HttpConnectionManager: a server span and a client span of each sampled call.

    sampling_percent: of calls that bring no trace context; a call that brings one keeps its parent's decision.
    tags: attributes of every span, in order of their names.
    Without an endpoint no span is made, but the trace context is, and is handed on.
    """
    return message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager").Tracing(
        provider={
            "name": "envoy.tracers.opentelemetry",
            "typed_config": packed(_tracer(telemetry, service_name, sampling_percent)),
        },
        random_sampling={"value": 100},  # the tracer's own sampler decides: this one would overrule a caller's decision
        client_sampling={"value": 100},
        overall_sampling={"value": 100 if telemetry.endpoint else 0},
        spawn_upstream_span={"value": True},
        custom_tags=[{"tag": tag, "literal": {"value": value}} for tag, value in sorted((tags or {}).items())],
    )


def otlp_cluster(telemetry: Telemetry) -> Any:
    """The cluster that spans go to; without an endpoint an empty one, because Envoy's tracer must name one. Raises: InvalidTopology."""
    places = []
    if telemetry.endpoint:
        host, port, _ = _endpoint(telemetry)
        places = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    protocol = http2_upstream(streams_per_connection=SPANS_IN_FLIGHT) if _is_grpc(telemetry) else http1_upstream()
    breakers = circuit_breakers(connections=4, requests=SPANS_IN_FLIGHT, pending=SPANS_IN_FLIGHT)
    return static_cluster(OTLP_CLUSTER, places, protocol, circuit_breakers=breakers)


def _tracer(telemetry: Telemetry, service_name: str, sampling_percent: float) -> Any:
    timeout = duration(EXPORT_TIMEOUT_SECONDS)
    exporter: dict[str, Any]
    if _is_grpc(telemetry):
        exporter = {"grpc_service": {"envoy_grpc": {"cluster_name": OTLP_CLUSTER}, "timeout": timeout}}
    else:
        host, port, path = _endpoint(telemetry) if telemetry.endpoint else ("nowhere", 80, "")
        uri = {"uri": f"http://{host}:{port}{path}/v1/traces", "cluster": OTLP_CLUSTER, "timeout": timeout}
        exporter = {"http_service": {"http_uri": uri}}
    sampler = _parent_based(sampling_percent) if telemetry.endpoint else None
    return message("envoy.config.trace.v3.OpenTelemetryConfig")(service_name=service_name, sampler=sampler, **exporter)


def _parent_based(sampling_percent: float) -> dict[str, Any]:
    """Does as the caller did; of the calls of those who did nothing, `sampling_percent` are traced."""
    kind = "envoy.extensions.tracers.opentelemetry.samplers.v3."
    share = {"numerator": round(sampling_percent * 10_000), "denominator": "MILLION"}
    ratio = message(kind + "TraceIdRatioBasedSamplerConfig")(sampling_percentage=share)
    name = "envoy.tracers.opentelemetry.samplers."
    wrapped = {"name": name + "trace_id_ratio_based", "typed_config": packed(ratio)}
    parent = message(kind + "ParentBasedSamplerConfig")(wrapped_sampler=wrapped)
    return {"name": name + "parent_based", "typed_config": packed(parent)}


def _is_grpc(telemetry: Telemetry) -> bool:
    if telemetry.protocol not in ("grpc", "http/protobuf"):
        raise InvalidTopology(f"telemetry.protocol is {telemetry.protocol!r}; Envoy speaks grpc and http/protobuf")
    return telemetry.protocol == "grpc"


def _endpoint(telemetry: Telemetry) -> tuple[str, int, str]:
    """Host, port and path of where spans go."""
    try:
        parts = urlsplit(telemetry.endpoint)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidTopology(f"telemetry.endpoint is {telemetry.endpoint!r}; it must be like http://127.0.0.1:4317")
    return parts.hostname, port or (4317 if telemetry.protocol == "grpc" else 4318), parts.path.rstrip("/")
