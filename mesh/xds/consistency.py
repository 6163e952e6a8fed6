"""What a set of resources must satisfy before an Envoy may see it.

Rules, of the resources of one node:
- there is a cluster and a listener; no two resources of a type share a name; no two listeners an address;
- every cluster that anything names is there (or in the bootstrap);
- every route table that a listener names is there, and none that no listener names;
- every EDS cluster has its endpoints, and no endpoints are left over.
Envoy would accept most breaches of these and answer 503 or wait without end, so they are looked for here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from google.protobuf.message import Message

from mesh.xds.bootstrap import ADS_CLUSTER
from mesh.xds.messages import unpacked

_ROUTE, _CORE = "envoy.config.route.v3", "envoy.config.core.v3"
_NAMES_CLUSTER = {  # message -> its field that names a cluster
    f"{_ROUTE}.RouteAction": "cluster",
    f"{_ROUTE}.RouteAction.RequestMirrorPolicy": "cluster",
    f"{_ROUTE}.WeightedCluster.ClusterWeight": "name",
    f"{_CORE}.GrpcService.EnvoyGrpc": "cluster_name",
    f"{_CORE}.HttpUri": "cluster",
}
_NAMES_ROUTES = {"envoy.extensions.filters.network.http_connection_manager.v3.Rds": "route_config_name"}
CLUSTER = "envoy.config.cluster.v3.Cluster"
ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = "envoy.config.listener.v3.Listener"
ROUTES = "envoy.config.route.v3.RouteConfiguration"


def name_of(resource: Message) -> str:
    """The name that xDS knows a resource by."""
    name: str = getattr(resource, "cluster_name" if resource.DESCRIPTOR.full_name == ENDPOINTS else "name")
    return name


def contradictions(resources: Iterable[Message]) -> list[str]:
    """What is wrong with `resources`, a sentence each; empty: nothing."""
    resources = list(resources)
    named = {kind: [name_of(r) for r in resources if r.DESCRIPTOR.full_name == kind] for kind in _KINDS}
    eds = [r.name for r in resources if r.DESCRIPTOR.full_name == CLUSTER and r.type == r.EDS]  # type: ignore[attr-defined]
    clusters_named = set(_named(resources, _NAMES_CLUSTER))
    routes_named = set(_named(resources, _NAMES_ROUTES))
    return [
        *(f"there is no {_KINDS[kind]}" for kind in (CLUSTER, LISTENER) if not named[kind]),
        *(f"two {_KINDS[kind]}s are called {name!r}" for kind in _KINDS for name in _repeated(named[kind])),
        *(f"two listeners have the address {place}" for place in _repeated(_places(resources))),
        *(
            f"nothing is called {name!r}, which is named as a cluster"
            for name in _beyond(clusters_named, named[CLUSTER], [ADS_CLUSTER])
        ),
        *(
            f"a listener names the route table {name!r}, which is missing"
            for name in _beyond(routes_named, named[ROUTES])
        ),
        *(f"no listener names the route table {name!r}" for name in _beyond(named[ROUTES], routes_named)),
        *(f"the cluster {name!r} has no endpoints" for name in _beyond(eds, named[ENDPOINTS])),
        *(f"the endpoints {name!r} belong to no cluster" for name in _beyond(named[ENDPOINTS], eds)),
    ]


_KINDS = {CLUSTER: "cluster", ENDPOINTS: "endpoint assignment", LISTENER: "listener", ROUTES: "route table"}


def _beyond(names: Iterable[str], *known: Iterable[str]) -> list[str]:
    return sorted(set(names).difference(*known))


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def _places(resources: Iterable[Message]) -> list[str]:
    listeners = [r for r in resources if r.DESCRIPTOR.full_name == LISTENER]
    return [str(listener.address).replace("\n", " ").strip() for listener in listeners]  # type: ignore[attr-defined]


def _named(resources: Iterable[Message], fields: dict[str, str]) -> Iterator[str]:
    """The names in `fields` of all messages within `resources`."""
    for resource in resources:
        for part in _parts(resource):
            field = fields.get(part.DESCRIPTOR.full_name)
            if field and getattr(part, field):
                yield getattr(part, field)


def _parts(whole: Message) -> Iterator[Message]:
    """`whole` and every message in it, those in an Any too."""
    yield whole
    if whole.DESCRIPTOR.full_name == "google.protobuf.Any":
        if not whole.type_url:  # type: ignore[attr-defined]  # an Any that was touched, and left empty
            return
        yield from _parts(unpacked(whole))  # type: ignore[arg-type]
        return
    for field, value in whole.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = [part for part in value.values() if isinstance(part, Message)]
        else:
            values = list(value) if field.is_repeated else [value]  # a Struct is iterable too
        for part in values:
            yield from _parts(part)
