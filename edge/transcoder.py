"""HTTP/JSON to gRPC and back, and streams that fail visibly.

The filters, in the order of the list; an answer passes them the other way round:

    stream_format   array, lines or events, by Accept; writes the error record at the end of a failed stream
    transcoder      JSON <-> gRPC; its streams are always arrays (stream_format.lua says why)
    stream_status   sees the trailers before the transcoder hides them
    stream_abort    cuts an array whose stream failed: a shorter array that is valid JSON would be a lie

Rules: all are off until a route switches them on, so both listeners have one list and native gRPC passes untouched.
The route is chosen by the request as it came (match_incoming_request_route): otherwise the filters before the
transcoder would see none, and whatever is set per route would be silently ignored.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mesh.xds.clusters import duration, http2_upstream, static_cluster
from mesh.xds.http import http_filter, lua_filter
from mesh.xds.messages import message, packed

NOWHERE_CLUSTER = "nowhere"
UNARY_FILTERS = ("transcoder",)
STREAM_FILTERS = ("stream_format", "transcoder", "stream_status", "stream_abort")
HIDDEN_FROM_JSON = ("grpc-accept-encoding",)  # says nothing to a client that does not speak gRPC


def transcoding_filters(contracts: FileDescriptorSet, services: Sequence[str]) -> list[Any]:
    """The filters of the list above, for `services` (full names) that `contracts` describe."""
    return [
        _lua("stream_format"),
        http_filter("transcoder", _transcoder(contracts, services), disabled=True),
        _lua("stream_status"),
        http_filter("stream_abort", _unless_all_is_well(_abort()), disabled=True),
    ]


def nowhere_cluster() -> Any:
    """Has no endpoint and never will: what asks it fails, and with it the answer that it holds up."""
    return static_cluster(NOWHERE_CLUSTER, [], http2_upstream(streams_per_connection=1))


def _transcoder(contracts: FileDescriptorSet, services: Sequence[str]) -> Any:
    return message("envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder")(
        proto_descriptor_bin=contracts.SerializeToString(deterministic=True),
        services=services,
        convert_grpc_status=True,  # google.rpc.Status as JSON, its details decoded where a contract describes them
        match_incoming_request_route=True,
        query_param_unescape_plus=True,  # name=Ana+Maria, as every browser's form sends it
        print_options={"always_print_primitive_fields": True, "preserve_proto_field_names": True},
        request_validation_options={"reject_unknown_method": True, "reject_unknown_query_parameters": True},
    )


@cache
def _lua(name: str) -> Any:
    return lua_filter(name, Path(__file__).with_name(f"{name}.lua").read_text(encoding="utf-8"), disabled=True)


def _abort() -> Any:
    """Asks nowhere for leave when the trailers come. Too late for an error answer, so Envoy breaks the stream off:
    HTTP/1.1 without the last chunk, HTTP/2 with RST_STREAM."""
    return message("envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor")(
        grpc_service={"envoy_grpc": {"cluster_name": NOWHERE_CLUSTER}},
        failure_mode_allow=False,
        message_timeout=duration(0.1),
        processing_mode={
            "request_header_mode": "SKIP",
            "request_body_mode": "NONE",
            "request_trailer_mode": "SKIP",
            "response_header_mode": "SKIP",
            "response_body_mode": "NONE",
            "response_trailer_mode": "SEND",
        },
        stat_prefix="stream_abort",
    )


def _unless_all_is_well(abort: Any) -> Any:
    """`abort`, skipped where the stream ended well or stream_format.lua writes how it ended."""
    asked = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
    ended = "envoy.type.matcher.v3.HttpResponseTrailerMatchInput"
    return message("envoy.extensions.common.matching.v3.ExtensionWithMatcher")(
        extension_config={"name": "abort", "typed_config": packed(abort)},
        xds_matcher={
            "matcher_list": {
                "matchers": [
                    _skip_if(asked, "accept", "application/x-ndjson"),
                    _skip_if(asked, "accept", "text/event-stream"),
                    _skip_if(ended, "grpc-status", "0"),
                ]
            }
        },
    )


def _skip_if(source: str, header: str, value: str) -> dict[str, Any]:
    skip = message("envoy.extensions.filters.common.matcher.action.v3.SkipFilter")()
    return {
        "predicate": {
            "single_predicate": {
                "input": {"name": header, "typed_config": packed(message(source)(header_name=header))},
                "value_match": {"exact": value},
            }
        },
        "on_match": {"action": {"name": "skip", "typed_config": packed(skip)}},
    }
