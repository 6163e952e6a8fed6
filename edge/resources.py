"""What the edge's Envoy is told, complete: the builder that mesh/xds/snapshot.py asks for the node of the edge.

Rules: pure, of plain arguments; the same topology and position give the same bytes. The position stands in the route
tables alone, so a commit that moves only weights changes two resources and no connection.
"""

from google.protobuf.message import Message

from edge.clusters import reflection_cluster, service_resources
from edge.listeners import edge_listener
from edge.routes import route_table
from edge.transcoder import nowhere_cluster
from mesh.topology import Topology
from mesh.xds.http import otlp_cluster

PATHS = ("grpc", "rest")


def edge_resources(topology: Topology, node_id: str, position: int) -> list[Message]:
    """Clusters, endpoints, listeners and route tables of the edge `node_id`; none if the topology has no such edge.

    Raises: InvalidTopology.
    """
    edge = topology.edge
    if edge is None or edge.id != node_id:
        return []
    otlp = otlp_cluster(topology.telemetry)
    return [
        *service_resources(topology),
        reflection_cluster(),
        nowhere_cluster(),
        *([otlp] if otlp is not None else []),
        *(edge_listener(topology, edge, asked) for asked in PATHS),
        *(route_table(topology, edge, asked, position) for asked in PATHS),
    ]
