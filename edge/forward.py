"""How a call goes on to a service: to which version, for how long, and how often if nobody answers.

Rules: weights choose the version, before any attempt; a retry goes to another workload of the same version. An attempt
is repeated only when it cannot have been answered: no connection, a reset before the first byte, or UNAVAILABLE.
"""

from typing import Any

from google.protobuf.message import Message

from edge.answers import header, no_workload
from edge.clusters import version_cluster
from mesh.topology import Service
from mesh.xds.clusters import duration
from mesh.xds.messages import message, packed

DEADLINE_SHARE = 0.98
BACK_OFF_SECONDS = (0.01, 0.1)  # first, longest: the other workload is there already
RETRY_ON = "connect-failure,refused-stream,reset,unavailable,retriable-status-codes"


def service_route(
    route: str,
    match: dict[str, Any],
    name: str,
    service: Service,
    timeout_seconds: float,
    retries: int,
    switches: dict[str, Message],
) -> Any:
    """The route called `route` to the versions of the service `name`, by their shares of the calls.

    timeout_seconds: for the whole answer; retries: of attempts that nobody answered; switches: see edge/switch.py.
    """
    shares = {version: share for version, share in service.shares().items() if share > 0}
    if not shares:
        return no_workload(route, match, name)
    clusters = [
        {
            "name": version_cluster(name, version),
            "weight": {"value": share},
            "response_headers_to_add": [header("x-meshlog-version", version)],
        }
        for version, share in shares.items()
    ]
    action = {
        "weighted_clusters": {"clusters": clusters},
        "timeout": duration(timeout_seconds),
        "retry_policy": _retry_policy(retries) if retries else None,
    }
    return message("envoy.config.route.v3.Route")(
        name=route,
        match=match,
        route=action,
        request_headers_to_add=[_deadline(timeout_seconds)] if service.protocol == "grpc" else [],
        response_headers_to_add=[header("x-meshlog-service", name)],
        typed_per_filter_config=switches,
    )


def _deadline(timeout_seconds: float) -> dict[str, Any]:
    """Tells a gRPC service how long it has, unless the client has said so. A little less than the edge waits: then it is
    the service that ends the call, and a stream can say so at its end instead of being cut."""
    milliseconds = round(1000 * timeout_seconds * DEADLINE_SHARE)
    return {"header": {"key": "grpc-timeout", "value": f"{milliseconds}m"}, "append_action": "ADD_IF_ABSENT"}


def _retry_policy(retries: int) -> dict[str, Any]:
    """For when nobody answered: the workload is gone, or its sidecar says so (503, UNAVAILABLE)."""
    first, longest = BACK_OFF_SECONDS
    not_there_again = message("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")()
    return {
        "retry_on": RETRY_ON,
        "retriable_status_codes": [503],
        "num_retries": {"value": retries},
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": packed(not_there_again)}
        ],
        "host_selection_retry_max_attempts": 5,  # with one workload alone the attempt goes there again
        "retry_back_off": {"base_interval": duration(first), "max_interval": duration(longest)},
    }
