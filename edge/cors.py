"""Pages of other sites may call where the topology names their origin, and read the headers that tell a call's story.

Rule: the CORS filter answers a preflight only on a route that leads somewhere, so there is one that never does.
"""

from collections.abc import Collection, Sequence
from typing import Any

from google.protobuf.message import Message

from edge.transcoder import NOWHERE_CLUSTER
from mesh.xds.messages import message, packed

ANY_ORIGIN = "*"
EXPOSED_HEADERS = "x-request-id,x-trace-id,x-meshlog-position,x-meshlog-service,x-meshlog-version"
PREFLIGHT_KEPT_SECONDS = 600


def cors_policy(allow_origins: Sequence[str], methods: Collection[str]) -> dict[str, Message]:
    """typed_per_filter_config of a virtual host whose routes are of `methods`. Cookies are never allowed: nothing here reads one."""
    if not allow_origins:
        return {}
    origins = [_any() if origin == ANY_ORIGIN else {"exact": origin} for origin in allow_origins]
    policy = message("envoy.extensions.filters.http.cors.v3.CorsPolicy")(
        allow_origin_string_match=origins,
        allow_methods=",".join(sorted(methods)),
        allow_headers="accept,content-type,traceparent,tracestate",
        expose_headers=EXPOSED_HEADERS,
        max_age=str(PREFLIGHT_KEPT_SECONDS),
        forward_not_matching_preflights={"value": False},
    )
    return {"cors": packed(policy)}


def preflights(allow_origins: Sequence[str], paths: Sequence[str]) -> list[Any]:
    """Routes that give the filter its chance."""
    if not allow_origins:
        return []
    asks = [
        {"name": ":method", "string_match": {"exact": "OPTIONS"}},
        {"name": "origin", "present_match": True},
        {"name": "access-control-request-method", "present_match": True},
    ]
    return [
        message("envoy.config.route.v3.Route")(
            name=f"{path} preflight", match={"path": path, "headers": asks}, route={"cluster": NOWHERE_CLUSTER}
        )
        for path in paths
    ]


def _any() -> dict[str, Any]:
    return {"safe_regex": {"regex": ".*"}}
