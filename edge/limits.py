"""What the edge takes before it says no: the same on both paths, from Limits of the topology.

What the numbers guard is in the comments of Limits (mesh/events.py). The floods of HTTP/2 control frames are bounded
here; streams opened and reset without end (CVE-2023-44487) end their connection by Envoy's own count of early resets.
"""

from typing import Any

from mesh.events import Limits
from mesh.xds.clusters import duration, http2_options
from mesh.xds.messages import message

BUFFER_BYTES = 1_048_576  # of one stream on its way; a unary answer must fit


def http_limits(limits: Limits) -> dict[str, Any]:
    """Fields of an HttpConnectionManager."""
    return {
        "common_http_protocol_options": {
            "idle_timeout": duration(limits.connection_idle_timeout_seconds),
            "max_headers_count": {"value": limits.request_headers_count},
            # nobody behind this edge may take x_request_id for x-request-id; the call itself is no worse without
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "http2_protocol_options": _http2_options(limits),
        "max_request_headers_kb": {"value": limits.request_headers_kib},
        "request_headers_timeout": duration(limits.request_headers_timeout_seconds),
        "request_timeout": duration(limits.request_timeout_seconds),
        "stream_idle_timeout": duration(limits.stream_idle_timeout_seconds),
        "delayed_close_timeout": duration(0),  # or a cut stream shows only a second later
    }


def buffer(limits: Limits) -> Any:
    """The Buffer filter's configuration: a whole request, or 413."""
    return message("envoy.extensions.filters.http.buffer.v3.Buffer")(
        max_request_bytes={"value": limits.request_body_bytes}
    )


def _http2_options(limits: Limits) -> Any:
    options = http2_options(limits.streams_per_connection)
    options.max_outbound_frames.value = 10_000
    options.max_outbound_control_frames.value = 1_000
    options.max_consecutive_inbound_frames_with_empty_payload.value = 1
    options.max_inbound_priority_frames_per_stream.value = 100
    options.max_inbound_window_update_frames_per_data_frame_sent.value = 10
    return options
