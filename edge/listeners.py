"""The two doors: listener "grpc" and listener "rest", alike but for what stands behind them.

Rules: one list of filters for both, so that a comparison of the two paths compares the services and nothing else; what
only gRPC needs is off until a route switches it on. The request id is the edge's own, never a client's: the journal
counts by it. Nothing here depends on the mesh's position: that is the route tables' business.
"""

from typing import Any

from edge.descriptors import grpc_services, merged
from edge.errors import local_replies
from edge.limits import BUFFER_BYTES, buffer, http_limits
from edge.program import program_filter
from edge.transcoder import transcoding_filters
from mesh.events import Edge
from mesh.journal.accesslog import ACCESS_LOG, access_log_format
from mesh.topology import Topology
from mesh.xds.clusters import ads_source, socket_address
from mesh.xds.http import http_filter, listener, router_filter, tracing
from mesh.xds.messages import message, packed

MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
NOBODY = {"address_prefix": "255.255.255.255", "prefix_len": {"value": 32}}


def edge_listener(topology: Topology, edge: Edge, asked: str) -> Any:
    """asked: the path of the edge, "grpc" or "rest"; the name of the listener and of its route table."""
    port = {"grpc": edge.grpc_port, "rest": edge.rest_port}[asked]
    opened = listener(asked, socket_address(edge.address, port), _manager(topology, edge, asked))
    opened.per_connection_buffer_limit_bytes.value = BUFFER_BYTES
    # without reuse_port the kernel wakes whichever worker it likes, and one of them may get all of the connections
    opened.connection_balance_config.exact_balance.SetInParent()
    return opened


def http_filters(topology: Topology, edge: Edge, asked: str) -> list[Any]:
    """From the client to the service; an answer passes them the other way round, the journal last."""
    cors = message("envoy.extensions.filters.http.cors.v3.Cors")()
    return [
        program_filter(asked, topology.limits, journal=edge.journal),
        http_filter("cors", cors),
        http_filter("buffer", buffer(topology.limits)),
        *transcoding_filters(merged(topology.contracts), grpc_services(topology)),
        router_filter(),
    ]


def _manager(topology: Topology, edge: Edge, asked: str) -> Any:
    return message(MANAGER)(
        stat_prefix=asked,
        rds={"config_source": ads_source(), "route_config_name": asked},
        http_filters=http_filters(topology, edge, asked),
        access_log=[_access_log()] if edge.journal else [],
        local_reply_config=local_replies(),
        tracing=tracing(topology.telemetry, edge.id, sampling_percent=topology.telemetry.sampling_percent),
        server_name="meshlog",  # and nothing of what is behind it
        use_remote_address={"value": True},  # we are the first proxy: a client's word on who it is does not count
        internal_address_config={"cidr_ranges": [NOBODY]},  # loopback neither, so its x-request-id is replaced as well
        always_set_request_id_in_response=True,
        normalize_path={"value": True},  # /x/../a/hello is /a/hello ...
        merge_slashes=False,  # ... and //a/hello is not
        path_with_escaped_slashes_action="KEEP_UNCHANGED",  # paths match exactly: %2F never passes for a slash
        **http_limits(topology.limits),
    )


def _access_log() -> Any:
    """What the journal's filter cannot know of a call, written when it is over."""
    form = message("google.protobuf.Struct")()
    form.update(access_log_format())
    log = message("envoy.extensions.access_loggers.file.v3.FileAccessLog")(
        path=ACCESS_LOG, log_format={"json_format": form}
    )
    return {"name": "envoy.access_loggers.file", "typed_config": packed(log)}
