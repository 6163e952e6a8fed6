"""Snapshots: the complete configuration of one node at one position.

Rules: a snapshot is a value; it comes into being by snapshot_of() and is checked before anybody is served; the version
of a resource is the last position of the stream `mesh` that changed it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from google.protobuf.message import Message

from mesh.errors import InvalidTopology
from mesh.xds.consistency import CLUSTER, ENDPOINTS, LISTENER, ROUTES, contradictions, name_of
from mesh.xds.messages import message, packed, type_url, unpacked

CLUSTERS, ASSIGNMENTS = f"type.googleapis.com/{CLUSTER}", f"type.googleapis.com/{ENDPOINTS}"
LISTENERS, ROUTE_TABLES = f"type.googleapis.com/{LISTENER}", f"type.googleapis.com/{ROUTES}"
MAKE_BEFORE_BREAK = (CLUSTERS, ASSIGNMENTS, LISTENERS, ROUTE_TABLES)
"""The order in which types are sent: whatever is named is there before what names it."""


@dataclass(frozen=True, slots=True)
class Resource:
    name: str
    type_url: str
    version: int  # the last position that changed it
    body: bytes  # an Any, packed
    rebuilt: str = ""  # other code made another body of the same position: tells the two apart

    @property
    def version_text(self) -> str:
        """What Envoy is told: equal texts mean equal bodies."""
        return f"{self.version}+{self.rebuilt}" if self.rebuilt else str(self.version)


@dataclass(frozen=True, slots=True)
class Snapshot:
    node: str
    kind: str  # "edge" or "sidecar"
    identity: str  # the SPIFFE id that the node must prove before it is told
    position: int  # the last one that changed anything here
    resources: tuple[Resource, ...]
    digest: str = field(init=False)  # SHA-256 of names and bodies

    def __post_init__(self) -> None:
        digest = hashlib.sha256()
        for resource in sorted(self.resources, key=lambda r: (r.type_url, r.name)):
            for part in (resource.type_url.encode(), resource.name.encode(), resource.body):
                digest.update(len(part).to_bytes(8, "big") + part)
        object.__setattr__(self, "digest", digest.hexdigest())

    def of_type(self, wanted: str) -> dict[str, Resource]:
        return {resource.name: resource for resource in self.resources if resource.type_url == wanted}


def snapshot_of(
    node: str, kind: str, identity: str, position: int, built: Iterable[Message], before: Snapshot | None = None
) -> Snapshot:
    """The snapshot of what was `built` for `node`. What is as it was in `before` keeps its version."""
    known = {(r.type_url, r.name): r for r in before.resources} if before else {}
    resources = []
    for resource in built:
        name, body = name_of(resource), packed(resource).SerializeToString(deterministic=True)
        old = known.get((type_url(resource), name))
        if old is None or old.body != body:
            same_version = old is not None and old.version == position
            rebuilt = hashlib.sha256(body).hexdigest()[:8] if same_version else ""
            old = Resource(name, type_url(resource), position, body, rebuilt)
        resources.append(old)
    return Snapshot(node, kind, identity, position, tuple(resources))


def check(snapshot: Snapshot) -> None:
    """Raises: InvalidTopology, if `snapshot` contradicts itself (mesh/xds/consistency.py)."""
    any_ = message("google.protobuf.Any")
    found = contradictions(unpacked(any_.FromString(resource.body)) for resource in snapshot.resources)
    if found:
        raise InvalidTopology(f"the configuration of {snapshot.node} contradicts itself: {'; '.join(found)}")
