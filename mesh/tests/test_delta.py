"""The incremental protocol, without I/O: what is sent, in which order, after which answer."""

from typing import Any

import pytest

from mesh.xds.delta import DeltaStream, Rejection
from mesh.xds.messages import message, packed
from mesh.xds.snapshot import ASSIGNMENTS, CLUSTERS, LISTENERS, MAKE_BEFORE_BREAK, ROUTE_TABLES, Resource, Snapshot

SHORT = {CLUSTERS: "cluster", ASSIGNMENTS: "endpoints", LISTENERS: "listener", ROUTE_TABLES: "routes"}


def body(version: int) -> bytes:
    raw: bytes = packed(message("envoy.config.cluster.v3.Cluster")(name=f"at {version}")).SerializeToString()
    return raw


def snapshot(position: int, **versions: dict[str, int]) -> Snapshot:
    """Resources as {short type: {name: version}}; a body says its version."""
    long = {short: type_url for type_url, short in SHORT.items()}
    resources = [
        Resource(name, long[short], version, body(version))
        for short, named in versions.items()
        for name, version in named.items()
    ]
    return Snapshot("edge", "edge", "spiffe://test.local/edge", position, tuple(resources))


FIRST = snapshot(1, cluster={"a": 1}, endpoints={"a": 1}, listener={"main": 1}, routes={"main": 1})


class Envoy:
    """An Envoy that asks for what it needs and says yes to what it gets, until told otherwise."""

    def __init__(self, stream: DeltaStream) -> None:
        self.stream = stream
        self.sent: list[str] = []  # "cluster a", "-cluster b": in the order in which they came

    def ask(self, type_url: str, names: tuple[str, ...] = (), has: dict[str, str] | None = None) -> None:
        self._say(type_url, resource_names_subscribe=names, initial_resource_versions=has or {})

    def connect(self, has: dict[str, dict[str, str]] | None = None) -> "Envoy":
        """All subscriptions, as after a start or a reconnect."""
        has = has or {}
        for type_url, names in ((CLUSTERS, ()), (ASSIGNMENTS, ("a",)), (LISTENERS, ()), (ROUTE_TABLES, ("main",))):
            self.ask(type_url, names, has.get(type_url))
        return self

    def take(self, reject: str = "") -> Rejection | None:
        """Answer everything that is sent, until nothing is; the first response of type `reject` with a no."""
        rejection = None
        while responses := self.stream.responses():
            for response in responses:
                kind = SHORT[response.type_url]  # type: ignore[attr-defined]
                self.sent += [f"{kind} {resource.name}" for resource in response.resources]  # type: ignore[attr-defined]
                self.sent += [f"-{kind} {name}" for name in response.removed_resources]  # type: ignore[attr-defined]
                no = {"error_detail": {"code": 3, "message": "no"}} if kind == reject and not rejection else {}
                rejection = self._say(response.type_url, response_nonce=response.nonce, **no) or rejection  # type: ignore[attr-defined]
        return rejection

    def _say(self, type_url: str, **fields: Any) -> Rejection | None:
        request = message("envoy.service.discovery.v3.DeltaDiscoveryRequest")(type_url=type_url, **fields)
        return self.stream.receive(request)


def converged(first: Snapshot = FIRST) -> Envoy:
    envoy = Envoy(DeltaStream(first)).connect()
    envoy.take()
    assert envoy.stream.converged is first
    envoy.stream.accepted = first
    envoy.sent.clear()
    return envoy


def test_what_is_named_is_sent_before_what_names_it() -> None:
    envoy = Envoy(DeltaStream(FIRST)).connect()
    envoy.take()
    assert envoy.sent == ["cluster a", "endpoints a", "listener main", "routes main"]


def test_listeners_wait_until_clusters_and_endpoints_are_acknowledged() -> None:
    envoy = Envoy(DeltaStream(FIRST)).connect()
    assert [r.type_url for r in envoy.stream.responses()] == [CLUSTERS, ASSIGNMENTS]  # type: ignore[attr-defined]
    assert envoy.stream.responses() == []


def test_a_node_has_converged_only_when_all_is_acknowledged() -> None:
    envoy = Envoy(DeltaStream(FIRST)).connect()
    assert envoy.stream.converged is None
    envoy.take()
    assert envoy.stream.converged is FIRST


def test_what_envoy_says_it_has_is_not_sent_again() -> None:
    has = {CLUSTERS: {"a": "1"}, ASSIGNMENTS: {"a": "1"}, LISTENERS: {"main": "1"}, ROUTE_TABLES: {"main": "1"}}
    envoy = Envoy(DeltaStream(FIRST)).connect(has)
    assert envoy.stream.responses() == []
    assert envoy.stream.converged is FIRST


def test_what_envoy_has_of_an_old_version_is_sent() -> None:
    has = {CLUSTERS: {"a": "1"}, ASSIGNMENTS: {"a": "1"}, LISTENERS: {"main": "1"}, ROUTE_TABLES: {"main": "0"}}
    envoy = Envoy(DeltaStream(FIRST)).connect(has)
    envoy.take()
    assert envoy.sent == ["routes main"]


def test_only_what_changed_is_sent() -> None:
    envoy = converged()
    envoy.stream.offer(snapshot(2, cluster={"a": 1}, endpoints={"a": 1}, listener={"main": 1}, routes={"main": 2}))
    envoy.take()
    assert envoy.sent == ["routes main"]


def test_a_cluster_that_is_no_longer_needed_goes_after_the_routes_that_used_it() -> None:
    envoy = converged(
        snapshot(1, cluster={"a": 1, "b": 1}, endpoints={"a": 1}, listener={"main": 1}, routes={"main": 1})
    )
    envoy.stream.offer(snapshot(2, cluster={"a": 1}, endpoints={"a": 1}, listener={"main": 1}, routes={"main": 2}))
    envoy.take()
    assert envoy.sent == ["routes main", "-cluster b"]


def test_the_endpoints_of_an_updated_cluster_are_sent_again() -> None:
    envoy = converged()
    envoy.stream.offer(snapshot(2, cluster={"a": 2}, endpoints={"a": 1}, listener={"main": 1}, routes={"main": 1}))
    envoy.take()
    assert envoy.sent == ["cluster a", "endpoints a"]


def test_endpoints_on_their_way_when_their_cluster_changes_are_sent_once_more() -> None:
    envoy = converged()
    envoy.stream.offer(snapshot(2, cluster={"a": 1}, endpoints={"a": 2}, listener={"main": 1}, routes={"main": 1}))
    [on_its_way] = envoy.stream.responses()
    envoy.stream.offer(snapshot(3, cluster={"a": 3}, endpoints={"a": 2}, listener={"main": 1}, routes={"main": 1}))
    [cluster] = envoy.stream.responses()
    for response in (on_its_way, cluster):
        envoy._say(response.type_url, response_nonce=response.nonce)  # type: ignore[attr-defined]
    envoy.take()
    assert envoy.sent == ["endpoints a"]


def test_an_envoy_that_asks_for_endpoints_before_clusters_is_told_all_endpoints() -> None:
    """Its clusters wait for endpoints that a broken stream never brought, and until then it asks for no clusters."""
    envoy = Envoy(DeltaStream(FIRST))
    envoy.ask(ASSIGNMENTS, ("a",), {"a": "1"})
    envoy.take()
    assert envoy.sent == ["endpoints a"]


def test_a_name_that_is_asked_for_once_more_is_told_once_more() -> None:
    envoy = converged()
    envoy.ask(ROUTE_TABLES, ("main",))
    envoy.take()
    assert envoy.sent == ["routes main"]


def test_a_name_that_is_asked_for_and_does_not_exist_is_said_not_to_exist_once() -> None:
    envoy = converged()
    envoy.ask(ROUTE_TABLES, ("other",))
    envoy.take()
    assert envoy.sent == ["-routes other"]


@pytest.mark.parametrize("kind", ["cluster", "endpoints", "listener", "routes"])
def test_a_node_that_rejects_a_snapshot_goes_back_whole_to_the_last_that_it_accepted(kind: str) -> None:
    envoy = converged()
    bad = snapshot(2, cluster={"a": 2}, endpoints={"a": 2}, listener={"main": 2}, routes={"main": 2})
    envoy.stream.offer(bad)
    assert envoy.take(reject=kind) == Rejection(bad, MAKE_BEFORE_BREAK[list(SHORT.values()).index(kind)], "no")
    assert envoy.stream.converged is FIRST
    assert envoy.stream.responses() == []


def test_what_came_new_with_a_rejected_snapshot_is_removed_because_envoy_may_have_taken_it() -> None:
    envoy = converged()
    envoy.stream.offer(
        snapshot(2, cluster={"a": 1, "b": 2}, endpoints={"a": 1}, listener={"main": 1}, routes={"main": 1})
    )
    envoy.take(reject="cluster")
    assert envoy.sent == ["cluster b", "-cluster b"]


def test_a_node_that_rejects_all_that_we_have_is_sent_nothing_more() -> None:
    envoy = Envoy(DeltaStream(FIRST)).connect()
    assert envoy.take(reject="cluster")
    assert envoy.stream.responses() == []
    assert envoy.stream.converged is None


def test_a_new_snapshot_is_offered_after_a_rejection() -> None:
    envoy = Envoy(DeltaStream(FIRST)).connect()
    envoy.take(reject="cluster")
    envoy.stream.offer(snapshot(2, cluster={"a": 2}, endpoints={"a": 1}, listener={"main": 1}, routes={"main": 1}))
    envoy.take()
    assert envoy.stream.converged is not None


def test_an_answer_to_what_was_never_sent_changes_nothing() -> None:
    envoy = converged()
    envoy._say(CLUSTERS, response_nonce="999", error_detail={"code": 3})
    assert envoy.stream.converged is FIRST


def test_one_response_of_a_type_is_under_way_at_a_time() -> None:
    envoy = converged()
    envoy.stream.offer(snapshot(2, cluster={"a": 1}, endpoints={"a": 1}, listener={"main": 1}, routes={"main": 2}))
    assert len(envoy.stream.responses()) == 1
    envoy.stream.offer(snapshot(3, cluster={"a": 1}, endpoints={"a": 1}, listener={"main": 1}, routes={"main": 3}))
    assert envoy.stream.responses() == []


def test_the_order_is_envoys_make_before_break() -> None:
    assert [SHORT[type_url] for type_url in MAKE_BEFORE_BREAK] == ["cluster", "endpoints", "listener", "routes"]
