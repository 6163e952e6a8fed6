"""Which snapshot every node of the topology should run, and at which positions its parts changed.

Rules: all nodes or none: if one snapshot contradicts itself, nothing is replaced; a node whose configuration a commit
does not touch keeps its snapshot, position and all; what a sidecar's builder reads being unchanged, it is not asked again.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from mesh.spiffe import EDGE, spiffe_id
from mesh.topology import Topology
from mesh.xds.sidecar import sidecar_id, sidecar_inputs, sidecar_resources
from mesh.xds.snapshot import Snapshot, check, snapshot_of

Build = Callable[[Topology, str, int], list[Message]]
"""(topology, node id, position) -> resources; position: the last one that changed anything of that node's snapshot."""


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str
    identity: str
    build: Build
    inputs: object  # None: unknown, so it is built every time


class SnapshotCache:
    def __init__(self, edge: Build, restored: Mapping[str, Snapshot] | None = None) -> None:
        """edge: builds what an edge runs. restored: what nodes accepted before a restart (SnapshotStore.load())."""
        self._build_edge = edge
        self._snapshots = dict(restored or {})
        self._inputs: dict[str, object] = {}  # of what was built by this process

    def update(self, topology: Topology, position: int) -> dict[str, Snapshot]:
        """What every node should run now that the mesh is `topology`. Raises: InvalidTopology; then nothing is replaced."""
        nodes = self._nodes(topology)
        self._snapshots = {id_: self._snapshot(id_, node, topology, position) for id_, node in nodes.items()}
        self._inputs = {id_: node.inputs for id_, node in nodes.items()}
        return dict(self._snapshots)

    def check_topology(self, topology: Topology, position: int) -> None:
        """Raises: InvalidTopology, if update() would. Replaces nothing."""
        for id_, node in self._nodes(topology).items():
            self._snapshot(id_, node, topology, position)

    def _snapshot(self, id_: str, node: _Node, topology: Topology, position: int) -> Snapshot:
        before = self._snapshots.get(id_)
        if before and node.inputs is not None and self._inputs.get(id_) == node.inputs:
            return before
        if before and before.identity == node.identity:
            as_before = snapshot_of(
                id_, node.kind, node.identity, before.position, node.build(topology, id_, before.position)
            )
            if as_before.digest == before.digest:
                return before  # but for the position it would carry
        fresh = snapshot_of(id_, node.kind, node.identity, position, node.build(topology, id_, position), before)
        check(fresh)
        return fresh

    def _nodes(self, topology: Topology) -> dict[str, _Node]:
        """Every node of `topology`: the edge, and a sidecar for each workload."""
        domain = topology.identity.trust_domain
        nodes = {}
        for id_, workload in topology.workloads().items():
            sidecar = sidecar_id(id_)
            identity, inputs = spiffe_id(domain, workload.service), sidecar_inputs(topology, sidecar)
            nodes[sidecar] = _Node("sidecar", identity, sidecar_resources, inputs)
        if topology.edge:
            nodes[topology.edge.id] = _Node("edge", spiffe_id(domain, EDGE), self._build_edge, None)
        return nodes


def revision(*directories: Path) -> str:
    """A name for the code that builds snapshots: it changes with any file in `directories` that building may depend on."""
    digest = hashlib.sha256()
    for directory in directories:
        for file in sorted(directory.rglob("*")):
            inside = file.relative_to(directory)
            if file.is_file() and not {"tests", "__pycache__"} & set(inside.parts):
                digest.update(f"{inside} ".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]
