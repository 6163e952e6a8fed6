"""Envoy's administration: all of it on a socket for its owner, and what only reads on a loopback port.

Envoy's admin asks nobody who they are. On a port, any user of the machine, and any page in a browser, could end the edge by
POST /quitquitquit; so the port lets GETs through alone (Envoy changes nothing on a GET), and only for the names of this machine.
"""

from typing import Any

from mesh.xds.clusters import duration, http1_upstream, pipe_address, socket_address, static_cluster
from mesh.xds.http import listener, router_filter
from mesh.xds.messages import message

ADMIN_SOCKET = "admin.sock"  # relative to Envoy's own directory
ADMIN_CLUSTER = "admin"
OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
TIMEOUT_SECONDS = 15.0  # a whole configuration dump


def admin_address() -> Any:
    address = pipe_address(ADMIN_SOCKET)
    address.pipe.mode = 0o600
    return address


def admin_cluster() -> Any:
    return static_cluster(ADMIN_CLUSTER, [f"unix:{ADMIN_SOCKET}"], http1_upstream())


def admin_listener(port: int) -> Any:
    """The reading side of the administration, on the loopback interface."""
    manager = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")(
        stat_prefix="admin",
        route_config={
            "name": "admin",
            "ignore_port_in_host_matching": True,
            "virtual_hosts": [
                {"name": "own", "domains": list(OWN_NAMES), "routes": [_reads(), _refuses("this port only reads")]},
                {"name": "foreign", "domains": ["*"], "routes": [_refuses("ask for localhost")]},
            ],
        },
        http_filters=[router_filter()],
        request_timeout=duration(TIMEOUT_SECONDS),
        request_headers_timeout=duration(TIMEOUT_SECONDS),
        stream_idle_timeout=duration(TIMEOUT_SECONDS),
        common_http_protocol_options={"idle_timeout": duration(TIMEOUT_SECONDS)},
    )
    built = listener("admin", socket_address("127.0.0.1", port), manager)
    built.ignore_global_conn_limit = True  # who looks for the reason must get in
    return built


def _reads() -> dict[str, Any]:
    is_get = {"name": ":method", "string_match": {"exact": "GET"}}
    return {
        "match": {"prefix": "/", "headers": [is_get]},
        "route": {"cluster": ADMIN_CLUSTER, "timeout": duration(TIMEOUT_SECONDS)},
    }


def _refuses(reason: str) -> dict[str, Any]:
    body = f'{{"code":7,"message":"{reason}; its owner finds the rest at {ADMIN_SOCKET}","details":[]}}'
    json = {
        "header": {"key": "content-type", "value": "application/json"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": 403, "body": {"inline_string": body}},
        "response_headers_to_add": [json],
    }
