"""Where a node sends calls: addresses, endpoints, clusters. Small builders of plain arguments, named for what they return.

Rules: an address is text, as in the topology ("127.0.0.1:15100", "unix:app.sock" relative to the Envoy's directory);
windows and connections are bounded, so that memory is; what an answer says (5xx) never ejects a workload, only that
nobody answered does.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any

from mesh.xds.messages import message, packed

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# what may be sent ahead; Envoy's own default is 16 MiB a stream: too much where clients are slow and many
STREAM_WINDOW_BYTES = 65_536
CONNECTION_WINDOW_BYTES = 1_048_576  # on all streams of a connection
CONNECT_TIMEOUT_SECONDS = 1.0  # loopback, or the next machine
IDLE_SECONDS = 30.0  # less than any server we speak to keeps an idle connection, or a call could meet its end


def duration(seconds: float) -> dict[str, int]:
    """A google.protobuf.Duration, as a constructor takes it."""
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return {"seconds": whole, "nanos": nanos}


def socket_address(host: str, port: int) -> Any:
    return message("envoy.config.core.v3.Address")(socket_address={"address": host, "port_value": port})


def pipe_address(path: str) -> Any:
    return message("envoy.config.core.v3.Address")(pipe={"path": path})


def address(place: str) -> Any:
    """The address that the text `place` means: "unix:app.sock" or "127.0.0.1:50051"."""
    if place.startswith("unix:"):
        return pipe_address(place.removeprefix("unix:"))
    host, _, port = place.rpartition(":")
    return socket_address(host.strip("[]"), int(port))


def endpoints(cluster: str, places: Sequence[str]) -> Any:
    """The ClusterLoadAssignment of `cluster`: everything reached in `places`."""
    found = [{"endpoint": {"address": address(place)}} for place in places]
    return message("envoy.config.endpoint.v3.ClusterLoadAssignment")(
        cluster_name=cluster, endpoints=[{"lb_endpoints": found}]
    )


def static_cluster(name: str, places: Sequence[str], protocol: Any, **settings: Any) -> Any:
    """A cluster whose endpoints stand in it. A place named by a host name is resolved by DNS.

    protocol: http1_upstream() or http2_upstream(); settings: further fields of Cluster.
    """
    return _cluster(
        name,
        protocol,
        type="STATIC" if all(_is_literal(place) for place in places) else "STRICT_DNS",
        dns_lookup_family="V4_PREFERRED",
        load_assignment=endpoints(name, places),
        **settings,
    )


def eds_cluster(name: str, protocol: Any, **settings: Any) -> Any:
    """A cluster whose endpoints come by EDS over the same ADS stream."""
    return _cluster(
        name,
        protocol,
        type="EDS",
        eds_cluster_config={"eds_config": ads_source()},
        **settings,
    )


def ads_source() -> Any:
    """The ConfigSource that says: ask the ADS stream, and wait for as long as it takes."""
    never = duration(0)  # a timeout would put an empty route table or no endpoints in force
    return message("envoy.config.core.v3.ConfigSource")(ads={}, resource_api_version="V3", initial_fetch_timeout=never)


def http2_options(streams_per_connection: int) -> Any:
    """Http2ProtocolOptions of either side, its windows bounded."""
    return message("envoy.config.core.v3.Http2ProtocolOptions")(
        max_concurrent_streams={"value": streams_per_connection},
        initial_stream_window_size={"value": STREAM_WINDOW_BYTES},
        initial_connection_window_size={"value": CONNECTION_WINDOW_BYTES},
        override_stream_error_on_invalid_http_message={"value": True},  # costs the stream, not its neighbours
    )


def http2_upstream(
    *, streams_per_connection: int, idle_seconds: float = IDLE_SECONDS, connection_seconds: float | None = None
) -> Any:
    """How to speak HTTP/2 to a cluster. When a connection's streams are taken, the next one is opened.

    connection_seconds: how old a connection may get before no new call is sent on it (tls.connection_seconds()).
    """
    return message(HTTP_OPTIONS)(
        common_http_protocol_options=_lifetime(idle_seconds, connection_seconds),
        explicit_http_config={"http2_protocol_options": http2_options(streams_per_connection)},
    )


def http1_upstream(*, idle_seconds: float = IDLE_SECONDS, connection_seconds: float | None = None) -> Any:
    """How to speak HTTP/1.1 to a cluster: one call at a time on each connection."""
    return message(HTTP_OPTIONS)(
        common_http_protocol_options=_lifetime(idle_seconds, connection_seconds),
        explicit_http_config={"http_protocol_options": {}},
    )


def circuit_breakers(*, connections: int, requests: int, pending: int, retries: int = 256) -> Any:
    """What one cluster may have at once; the defaults of Envoy (1,024 each) answer 503 long before 3,200 clients."""
    return message("envoy.config.cluster.v3.CircuitBreakers")(
        thresholds=[
            {
                "max_connections": {"value": connections},
                "max_requests": {"value": requests},
                "max_pending_requests": {"value": pending},
                "max_retries": {"value": retries},
            }
        ]
    )


def outlier_detection(*, consecutive_failures: int = 3, ejection_seconds: float = 1.0) -> Any:
    """Leaves a workload out for a while when nobody answers there (no connection, or its sidecar says 503); never more than half."""
    return message("envoy.config.cluster.v3.OutlierDetection")(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure={"value": consecutive_failures},
        enforcing_consecutive_local_origin_failure={"value": 100},
        consecutive_gateway_failure={"value": consecutive_failures},
        enforcing_consecutive_gateway_failure={"value": 100},
        enforcing_consecutive_5xx={"value": 0},  # a 500 is an answer
        enforcing_success_rate={"value": 0},
        enforcing_local_origin_success_rate={"value": 0},
        interval=duration(1),
        base_ejection_time=duration(ejection_seconds),
        max_ejection_time=duration(10 * ejection_seconds),
        max_ejection_percent={"value": 50},
    )


def _cluster(name: str, protocol: Any, **settings: Any) -> Any:
    return message("envoy.config.cluster.v3.Cluster")(
        name=name,
        connect_timeout=settings.pop("connect_timeout", duration(CONNECT_TIMEOUT_SECONDS)),
        typed_extension_protocol_options={HTTP_OPTIONS: packed(protocol)},
        **settings,
    )


def _lifetime(idle_seconds: float, connection_seconds: float | None) -> dict[str, Any]:
    lifetime: dict[str, Any] = {"idle_timeout": duration(idle_seconds)}
    if connection_seconds is not None:
        lifetime["max_connection_duration"] = duration(connection_seconds)
    return lifetime


def _is_literal(place: str) -> bool:
    if place.startswith("unix:"):
        return True
    try:
        ipaddress.ip_address(place.rpartition(":")[0].strip("[]"))
    except ValueError:
        return False
    return True
