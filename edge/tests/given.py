"""A small mesh as the tests of the edge need it, and its bootstrap; running.py starts it.

Rules: what the control plane would serve stands in a bootstrap instead, and the edge speaks to the applications without
sidecars and TLS between them; nothing else is changed. Sidecars, identities and ADS have tests of their own in mesh/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from edge.resources import edge_resources
from mesh.events import (
    ContractPublished,
    Edge,
    EdgeOpened,
    Limits,
    LimitsSet,
    MeshEvent,
    Route,
    RoutesPublished,
    ServiceDeclared,
    Telemetry,
    TelemetryPointed,
    Workload,
    WorkloadJoined,
)
from mesh.topology import Topology, evolved
from mesh.xds.bootstrap import bootstrap
from mesh.xds.clusters import socket_address
from mesh.xds.messages import message, packed, unpacked

ROOT = Path(__file__).parents[2]
CONTRACT = (ROOT / "services/stubs/pspd.binpb").read_bytes()
POSITION = 7


@dataclass(frozen=True, slots=True)
class Ports:
    """A block of ports for one test module."""

    first: int

    @property
    def grpc(self) -> int:
        return self.first

    @property
    def rest(self) -> int:
        return self.first + 1

    @property
    def admin(self) -> int:
        return self.first + 2

    @property
    def nobody(self) -> int:
        """Nobody ever listens here."""
        return self.first + 3

    def app(self, number: int) -> int:
        return self.first + 4 + number


def a_mesh(
    ports: Ports,
    *more: MeshEvent,
    grpc_apps: Sequence[int] = (),
    rest_apps: Sequence[int] = (),
    limits: Limits | None = None,
    timeout_seconds: float = 5.0,
    allow_origins: tuple[str, ...] = (),
    journal: bool = True,
) -> Topology:
    """Services a, b, a-rest and b-rest, one version each; every application serves both names of its protocol."""
    edge = Edge(
        grpc_port=ports.grpc,
        rest_port=ports.rest,
        admin_port=ports.admin,
        allow_origins=allow_origins,
        journal=journal,
    )
    events: list[MeshEvent] = [
        ContractPublished("pspd", CONTRACT),
        EdgeOpened(edge),
        LimitsSet(limits or Limits()),
        TelemetryPointed(Telemetry(endpoint=f"http://127.0.0.1:{ports.nobody}")),
        ServiceDeclared("a", "grpc", "pspd", ("pspd.ServiceA",)),
        ServiceDeclared("b", "grpc", "pspd", ("pspd.ServiceB",)),
        ServiceDeclared("a-rest", "http"),
        ServiceDeclared("b-rest", "http"),
    ]
    for service, name, path, streams in (("a", "a.hello", "/a/hello", False), ("b", "b.numbers", "/b/numbers", True)):
        for owner, apps in ((service, grpc_apps), (f"{service}-rest", rest_apps)):
            route = Route(
                name, "GET", path, timeout_seconds * (2 if streams else 1), retries=0 if streams else 2, streams=streams
            )
            events.append(RoutesPublished(owner, (route,)))
            for number, port in enumerate(apps, 1):
                workload = Workload(f"{owner}-v1-{number}", owner, "v1", f"127.0.0.1:{port}", "unix:app.sock")
                events.append(WorkloadJoined(workload))
    return evolved([*events, *more])


def static_bootstrap(topology: Topology, *, position: int = POSITION) -> Message:
    """The edge of `topology` as a bootstrap that needs no control plane, no sidecars and no keys."""
    assert topology.edge is not None
    resources = edge_resources(topology, topology.edge.id, position)
    by_kind: dict[str, dict[str, Any]] = {}
    for resource in resources:
        name = getattr(resource, "name", None) or resource.cluster_name  # type: ignore[attr-defined]
        by_kind.setdefault(resource.DESCRIPTOR.name, {})[name] = resource
    built: Any = bootstrap(
        topology.edge.id,
        trust_domain="pspd.local",
        admin_port=topology.edge.admin_port,
        connections=topology.limits.connections,
    )
    built.ClearField("dynamic_resources")
    built.ClearField("static_resources")
    built.admin.address.CopyFrom(socket_address("127.0.0.1", topology.edge.admin_port))  # tests ask it for its memory
    for cluster in by_kind["Cluster"].values():
        if cluster.HasField("eds_cluster_config"):
            cluster.ClearField("eds_cluster_config")
            cluster.ClearField("transport_socket")
            cluster.type = message("envoy.config.cluster.v3.Cluster").STATIC
            cluster.load_assignment.CopyFrom(by_kind["ClusterLoadAssignment"][cluster.name])
        built.static_resources.clusters.append(cluster)
    for listener in by_kind["Listener"].values():
        filter_ = listener.filter_chains[0].filters[0]
        manager = unpacked(filter_.typed_config)
        manager.route_config.CopyFrom(by_kind["RouteConfiguration"][manager.rds.route_config_name])
        filter_.typed_config.CopyFrom(packed(manager))
        built.static_resources.listeners.append(listener)
    found: Message = built
    return found
