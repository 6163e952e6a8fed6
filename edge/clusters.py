"""Where the edge sends calls: one cluster for each version of a service, and its endpoints.

Rules: weights between versions are not here but in the route table, so a shift touches no cluster. A cluster speaks
mutual TLS with the service's identity and with nobody else.
"""

from typing import Any

from google.protobuf.message import Message

from mesh.spiffe import spiffe_id
from mesh.topology import Service, Topology
from mesh.xds.clusters import (
    circuit_breakers,
    duration,
    eds_cluster,
    endpoints,
    http1_upstream,
    http2_upstream,
    outlier_detection,
    static_cluster,
)
from mesh.xds.tls import connection_seconds, upstream_mutual_tls

REFLECTION_CLUSTER = "reflection"
REFLECTION_PLACE = "unix:reflection.sock"  # in the edge's directory
CONNECT_SECONDS = 5.0  # the handshake included
STREAMS_PER_CONNECTION = 100  # then the next connection is opened: long streams never fill the way for others


def version_cluster(service: str, version: str) -> str:
    return f"{service}-{version}"


def service_resources(topology: Topology) -> list[Message]:
    """Cluster and ClusterLoadAssignment of every version that has workloads."""
    resources: list[Message] = []
    for name, service in topology.services.items():
        for version, workloads in service.versions().items():
            cluster = version_cluster(name, version)
            resources.append(_service_cluster(topology, name, service, cluster))
            resources.append(endpoints(cluster, [workload.address for workload in workloads]))
    return resources


def reflection_cluster() -> Any:
    protocol = http2_upstream(streams_per_connection=STREAMS_PER_CONNECTION)
    return static_cluster(REFLECTION_CLUSTER, [REFLECTION_PLACE], protocol)


def _service_cluster(topology: Topology, name: str, service: Service, cluster: str) -> Any:
    limits = topology.limits
    age_seconds = connection_seconds(topology.identity.certificate_lifetime_seconds)
    if service.protocol == "grpc":
        protocol = http2_upstream(streams_per_connection=STREAMS_PER_CONNECTION, connection_seconds=age_seconds)
        alpn = "h2"
    else:
        protocol = http1_upstream(connection_seconds=age_seconds)
        alpn = "http/1.1"
    return eds_cluster(
        cluster,
        protocol,
        # nobody there is told at once; but 3,200 clients of a REST service are 3,200 handshakes, which a sidecar makes in turn
        connect_timeout=duration(CONNECT_SECONDS),
        transport_socket=upstream_mutual_tls(spiffe_id(topology.identity.trust_domain, name), alpn=alpn),
        circuit_breakers=circuit_breakers(
            connections=limits.connections_per_service,
            requests=limits.requests_per_service,
            pending=limits.requests_per_service,
            retries=limits.requests_per_service,  # a workload that dies takes all of its calls with it
        ),
        outlier_detection=outlier_detection(),
        # where half of the workloads or more are left out, all are tried: who was slow a second ago is better than nobody
        common_lb_config={"healthy_panic_threshold": {"value": 51}},
    )
