"""One Envoy's side of the incremental xDS protocol, as state: requests in, responses out, no I/O.

Rules:
- make before break: clusters and their endpoints, listeners, route tables, each acknowledged before the next is sent
  (endpoints go with their clusters: Envoy acknowledges a cluster when it has its endpoints); a cluster that is no longer
  needed goes last, and takes its endpoints with it;
- one response of a type is under way at a time; what Envoy says it has (initial_resource_versions) is not sent again;
- a snapshot that Envoy rejected is not offered again: the stream goes back to the last one that was accepted, so that
  the node ends with a whole snapshot and not with half of a bad one;
- an updated cluster is told its endpoints again, changed or not: it takes no calls until it has heard them. An Envoy
  that asks for endpoints before it asks for clusters has such a cluster from a stream that broke, and is told all.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from google.protobuf.message import Message

from mesh.xds.messages import message
from mesh.xds.snapshot import ASSIGNMENTS, CLUSTERS, LISTENERS, MAKE_BEFORE_BREAK, ROUTE_TABLES, Resource, Snapshot

_WILDCARD = "*"
_UNSURE = "?"  # of what came with a rejected response, Envoy may have taken some
_NONE = ""  # Envoy has heard that there is no such resource


@dataclass(frozen=True, slots=True)
class Rejection:
    snapshot: Snapshot
    type_url: str
    reason: str


@dataclass(frozen=True, slots=True)
class _UnderWay:
    nonce: str
    snapshot: Snapshot
    versions: dict[str, str]


@dataclass(slots=True)
class _Subscription:
    """What Envoy has asked for of one type, and what it has."""

    names: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)  # name -> version
    under_way: _UnderWay | None = None

    def changed(self, found: dict[str, Resource]) -> list[Resource]:
        """What of `found` is asked for and not known in its present version."""
        asked = found.values() if _WILDCARD in self.names else [r for n, r in found.items() if n in self.names]
        return [resource for resource in asked if self.known.get(resource.name) != resource.version_text]

    def gone(self, found: dict[str, Resource]) -> list[str]:
        """What is known or asked for, and not in `found`."""
        of_interest = self.known.keys() | (self.names - {_WILDCARD})
        return sorted(name for name in of_interest - found.keys() if self.known.get(name) != _NONE)

    def tell_again(self, name: str) -> None:
        self.known.pop(name, None)
        if self.under_way:
            self.under_way.versions.pop(name, None)  # its acknowledgement will be too old to count

    def is_told(self, found: dict[str, Resource]) -> bool:
        return self.under_way is None and all(self.known.get(n) == r.version_text for n, r in found.items())


class DeltaStream:
    """What one stream of one node has asked for, knows, and must be told next."""

    def __init__(self, target: Snapshot, accepted: Snapshot | None = None) -> None:
        """target: what the node should run. accepted: what it last said it runs, to go back to."""
        self.target: Snapshot | None = target  # None: it rejected all that we have
        self.accepted = accepted
        self._subscriptions: dict[str, _Subscription] = {}
        self._nonces = count(1)

    def offer(self, snapshot: Snapshot) -> None:
        """From now on the node should run `snapshot`."""
        self.target = snapshot

    def receive(self, request: Any) -> Rejection | None:
        """Take in a DeltaDiscoveryRequest. Returns what it says no to, if it does."""
        is_warming = request.type_url == ASSIGNMENTS and CLUSTERS not in self._subscriptions
        has = {} if is_warming else dict(request.initial_resource_versions)
        subscription = self._subscriptions.get(request.type_url)
        if subscription is None:
            subscription = self._subscriptions[request.type_url] = _Subscription(known=has)
            if not request.resource_names_subscribe:
                subscription.names.add(_WILDCARD)
        rejection = self._answered(subscription, request)
        for name in request.resource_names_subscribe:
            subscription.names.add(name)
            if name not in has:
                subscription.known.pop(name, None)  # asked for once more: told once more
        for name in request.resource_names_unsubscribe:
            subscription.names.discard(name)
            subscription.known.pop(name, None)
        return rejection

    def responses(self) -> list[Message]:
        """The DeltaDiscoveryResponses to send now; they count as sent."""
        sent: list[Message] = []
        if self.target is None:
            return sent
        for type_url in MAKE_BEFORE_BREAK:
            sent += self._response(type_url, self.target, removals=type_url == LISTENERS)
            if type_url != CLUSTERS and not self._is_told_up_to(type_url, self.target):
                return sent
        for type_url in MAKE_BEFORE_BREAK:
            sent += self._response(type_url, self.target, removals=True)
            if sent:
                return sent
        return sent

    @property
    def converged(self) -> Snapshot | None:
        """The snapshot that the node runs, whole; None while it is on its way there."""
        target = self.target
        if target is None or not self._is_told_up_to(ROUTE_TABLES, target):
            return None
        leftovers = [self._subscriptions[type_url].gone(target.of_type(type_url)) for type_url in (CLUSTERS, LISTENERS)]
        return None if any(leftovers) else target

    def _answered(self, subscription: _Subscription, request: Any) -> Rejection | None:
        sent = subscription.under_way
        if sent is None or request.response_nonce != sent.nonce:
            return None  # it answers nothing, or what no longer matters
        subscription.under_way = None
        if not request.HasField("error_detail"):
            subscription.known.update(sent.versions)
            return None
        subscription.known.update(dict.fromkeys(sent.versions, _UNSURE))
        if self.target and sent.snapshot.digest == self.target.digest:
            is_other = self.accepted is not None and self.accepted.digest != sent.snapshot.digest
            self.target = self.accepted if is_other else None
        return Rejection(sent.snapshot, request.type_url, request.error_detail.message)

    def _is_told_up_to(self, last: str, target: Snapshot) -> bool:
        """Whether the node has acknowledged all of the types up to and with `last`."""
        for type_url in MAKE_BEFORE_BREAK[: MAKE_BEFORE_BREAK.index(last) + 1]:
            found, subscription = target.of_type(type_url), self._subscriptions.get(type_url)
            if not (subscription.is_told(found) if subscription else not found):
                return False
        return True

    def _response(self, type_url: str, target: Snapshot, *, removals: bool) -> list[Message]:
        """One response, or none if there is nothing to say or an answer is awaited."""
        subscription = self._subscriptions.get(type_url)
        if subscription is None or subscription.under_way:
            return []
        found = target.of_type(type_url)
        changed, gone = subscription.changed(found), subscription.gone(found) if removals else []
        if not changed and not gone:
            return []
        if type_url == CLUSTERS and ASSIGNMENTS in self._subscriptions:
            for cluster in changed:
                self._subscriptions[ASSIGNMENTS].tell_again(cluster.name)
        versions = {resource.name: resource.version_text for resource in changed} | dict.fromkeys(gone, _NONE)
        subscription.under_way = _UnderWay(str(next(self._nonces)), target, versions)
        response: Message = message("envoy.service.discovery.v3.DeltaDiscoveryResponse")(
            system_version_info=str(target.position),
            type_url=type_url,
            nonce=subscription.under_way.nonce,
            resources=[_described(resource) for resource in changed],
            removed_resources=gone,
        )
        return [response]


def _described(resource: Resource) -> Message:
    any_ = message("google.protobuf.Any").FromString(resource.body)
    described: Message = message("envoy.service.discovery.v3.Resource")(
        name=resource.name, version=resource.version_text, resource=any_
    )
    return described
