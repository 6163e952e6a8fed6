"""Writes Envoy's messages, with all that they depend on, as one FileDescriptorSet to the file named by the first argument.

Rules: runs by itself where xds-protos is importable, and imports nothing of ours. That place is a throw-away environment
(mesh/cli/generate.py makes it): beside OpenTelemetry, xds-protos overwrites opentelemetry/proto/** and breaks the exporter.
An Envoy extension that mesh/xds or edge/ wants to configure is added to ROOTS.
"""

import importlib
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor

ROOTS = (
    "envoy.admin.v3.config_dump",
    "envoy.config.bootstrap.v3.bootstrap",
    "envoy.config.cluster.v3.cluster",
    "envoy.config.core.v3.health_check",
    "envoy.config.endpoint.v3.endpoint",
    "envoy.config.listener.v3.listener",
    "envoy.config.overload.v3.overload",
    "envoy.config.route.v3.route",
    "envoy.config.trace.v3.opentelemetry",
    "envoy.extensions.access_loggers.file.v3.file",
    "envoy.extensions.common.matching.v3.extension_matcher",
    "envoy.extensions.filters.common.matcher.action.v3.skip_action",
    "envoy.extensions.filters.http.buffer.v3.buffer",
    "envoy.extensions.filters.http.cors.v3.cors",
    "envoy.extensions.filters.http.ext_proc.v3.ext_proc",
    "envoy.extensions.filters.http.fault.v3.fault",
    "envoy.extensions.filters.http.grpc_json_transcoder.v3.transcoder",
    "envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit",
    "envoy.extensions.filters.http.lua.v3.lua",
    "envoy.extensions.filters.http.rbac.v3.rbac",
    "envoy.extensions.filters.http.router.v3.router",
    "envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager",
    "envoy.extensions.resource_monitors.downstream_connections.v3.downstream_connections",
    "envoy.extensions.resource_monitors.fixed_heap.v3.fixed_heap",
    "envoy.extensions.retry.host.previous_hosts.v3.previous_hosts",
    "envoy.extensions.tracers.opentelemetry.samplers.v3.parent_based_sampler",
    "envoy.extensions.tracers.opentelemetry.samplers.v3.trace_id_ratio_based_sampler",
    "envoy.extensions.transport_sockets.tls.v3.secret",
    "envoy.extensions.transport_sockets.tls.v3.tls",
    "envoy.extensions.upstreams.http.v3.http_protocol_options",
    "envoy.service.discovery.v3.ads",
    "envoy.service.discovery.v3.discovery",
    "envoy.type.matcher.v3.http_inputs",
)


def collected(roots: tuple[str, ...]) -> descriptor_pb2.FileDescriptorSet:
    """The files of `roots` and all they depend on; a file comes after those that it depends on."""
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(file: FileDescriptor) -> None:
        if file.name in found:
            return
        for dependency in file.dependencies:
            add(dependency)
        described = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(described)  # type: ignore[no-untyped-call, unused-ignore]
        described.ClearField("source_code_info")
        found[file.name] = described

    for root in roots:
        add(importlib.import_module(root + "_pb2").DESCRIPTOR)
    return descriptor_pb2.FileDescriptorSet(file=found.values())


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(collected(ROOTS).SerializeToString(deterministic=True))
