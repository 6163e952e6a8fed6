"""A snapshot is checked before it is served, and keeps the version of what did not change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.message import Message

from mesh.errors import InvalidTopology
from mesh.events import Telemetry
from mesh.tests.plain_mesh import edge_resources, joined, shifted, topology
from mesh.topology import Topology
from mesh.xds.cache import SnapshotCache, revision
from mesh.xds.snapshot import CLUSTERS, ROUTE_TABLES, Snapshot, check, snapshot_of
from mesh.xds.store import SnapshotStore

SIDECAR = "sidecar-w-v1-1"
TWO = topology(("v1", "v2"))
HALF = shifted(TWO, {"v1": 50, "v2": 50})


def made(wanted: Topology = TWO, change: Callable[[list[Message]], object] = list) -> Snapshot:
    """The edge's snapshot, with something done to its resources."""
    resources = edge_resources(wanted, "edge", 1)
    change(resources)
    return snapshot_of("edge", "edge", "spiffe://test.local/edge", 1, resources)


def the(kind: str, resources: list[Message]) -> Message:
    return next(resource for resource in resources if resource.DESCRIPTOR.name == kind)


def without(kind: str) -> Callable[[list[Message]], object]:
    return lambda resources: resources.remove(the(kind, resources))


def twice(kind: str) -> Callable[[list[Message]], object]:
    return lambda resources: resources.append(the(kind, resources))


def renamed(kind: str) -> Callable[[list[Message]], object]:
    def rename(resources: list[Message]) -> None:
        the(kind, resources).name = "other"  # type: ignore[attr-defined]

    return rename


def copied_listener(resources: list[Message]) -> None:
    copy = type(the("Listener", resources))()
    copy.CopyFrom(the("Listener", resources))
    copy.name = "copy"  # type: ignore[attr-defined]
    resources.append(copy)


def test_what_the_builders_make_is_consistent() -> None:
    check(made())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("RouteConfiguration"), "names the route table 'main', which is missing"),
        (without("Cluster"), "nothing is called 'w-v1', which is named as a cluster"),
        (without("ClusterLoadAssignment"), "the cluster 'w-v1' has no endpoints"),
        (without("Listener"), "there is no listener"),
        (renamed("RouteConfiguration"), "no listener names the route table 'other'"),
        (renamed("Cluster"), "the endpoints 'w-v1' belong to no cluster"),
        (twice("Cluster"), "two clusters are called 'w-v1'"),
        (copied_listener, "two listeners have the address"),
    ],
)
def test_a_snapshot_that_contradicts_itself_is_refused_with_the_reason(
    change: Callable[[list[Message]], object], sentence: str
) -> None:
    with pytest.raises(InvalidTopology, match="edge contradicts itself") as refused:
        check(made(change=change))
    assert sentence in str(refused.value)


def test_a_cluster_named_by_a_tracer_must_be_there() -> None:
    sidecar = SnapshotCache(edge_resources).update(TWO, 1)[SIDECAR]
    without_otlp = replace(sidecar, resources=tuple(r for r in sidecar.resources if r.name != "otlp"))
    with pytest.raises(InvalidTopology, match="nothing is called 'otlp'"):
        check(without_otlp)


def test_the_same_resources_have_the_same_digest_in_any_order() -> None:
    assert made(change=list.reverse).digest == made().digest
    assert made(HALF).digest != made().digest


def test_every_workload_has_a_sidecar_and_the_identity_that_it_must_prove() -> None:
    nodes = SnapshotCache(edge_resources).update(TWO, 1)
    assert {id_: (node.kind, node.identity) for id_, node in nodes.items()} == {
        "edge": ("edge", "spiffe://test.local/edge"),
        SIDECAR: ("sidecar", "spiffe://test.local/w"),
        "sidecar-w-v2-1": ("sidecar", "spiffe://test.local/w"),
    }


def test_a_resource_keeps_the_position_that_changed_it_last() -> None:
    cache = SnapshotCache(edge_resources)
    cache.update(TWO, 1)
    edge = cache.update(HALF, 5)["edge"]
    assert edge.position == 5
    assert {r.version for r in edge.resources if r.type_url == ROUTE_TABLES} == {5}
    assert {r.version for r in edge.resources if r.type_url != ROUTE_TABLES} == {1}


def test_a_node_that_a_commit_does_not_touch_keeps_its_snapshot_and_its_position() -> None:
    cache = SnapshotCache(edge_resources)
    before = cache.update(TWO, 1)
    after = cache.update(HALF, 2)
    assert after[SIDECAR] is before[SIDECAR]
    assert cache.update(replace(HALF), 3) == after


def test_a_route_table_carries_the_position_of_any_change_of_its_node_and_not_of_others() -> None:
    cache = SnapshotCache(edge_resources)
    cache.update(TWO, 1)
    only_clusters = replace(TWO, limits=replace(TWO.limits, requests_per_service=7))
    edge = cache.update(only_clusters, 2)["edge"]
    [table] = edge.of_type(ROUTE_TABLES).values()
    assert table.version == 2
    assert b"x-meshlog-position\x12\x012" in table.body


def test_a_workload_that_leaves_takes_its_sidecars_snapshot_with_it() -> None:
    cache = SnapshotCache(edge_resources)
    cache.update(joined(TWO, "v3"), 1)
    assert "sidecar-w-v3-1" not in cache.update(TWO, 2)


def test_if_one_snapshot_contradicts_itself_none_is_replaced() -> None:
    def build(wanted: Topology, node_id: str, position: int) -> list[Message]:
        resources = edge_resources(wanted, node_id, position)
        return resources[1:] if wanted.services["w"].weights else resources

    cache = SnapshotCache(build)
    before = cache.update(TWO, 1)
    with pytest.raises(InvalidTopology):
        cache.check_topology(HALF, 2)
    with pytest.raises(InvalidTopology):
        cache.update(HALF, 2)
    assert cache.update(TWO, 3) == before


def test_a_check_replaces_nothing() -> None:
    cache = SnapshotCache(edge_resources)
    before = cache.update(TWO, 1)
    cache.check_topology(HALF, 2)
    assert cache.update(TWO, 2) == before


def test_an_endpoint_that_envoy_could_not_reach_is_refused_before_it_is_a_fact() -> None:
    nowhere = replace(TWO, telemetry=Telemetry("https://collector"))
    with pytest.raises(InvalidTopology, match="must be like http://"):
        SnapshotCache(edge_resources).check_topology(nowhere, 1)


def test_versions_survive_a_restart(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    before = SnapshotCache(edge_resources).update(TWO, 1)
    for snapshot in before.values():
        store.save(snapshot)
    assert SnapshotCache(edge_resources, store.load()).update(TWO, 9) == before


def test_what_other_code_builds_of_the_same_position_has_another_version() -> None:
    def build(wanted: Topology, node_id: str, position: int) -> list[Message]:
        resources = edge_resources(wanted, node_id, position)
        the("Cluster", resources).alt_stat_name = "newer"  # type: ignore[attr-defined]
        return resources

    before = SnapshotCache(edge_resources).update(TWO, 1)
    after = SnapshotCache(build, before).update(TWO, 1)
    old, new = (nodes["edge"].of_type(CLUSTERS)["w-v1"] for nodes in (before, after))
    assert old.version == new.version == 1
    assert old.version_text == "1"
    assert new.version_text.startswith("1+")


def test_a_snapshot_that_is_kept_is_the_one_that_is_found(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.save(made())
    assert store.load() == {"edge": made()}
    assert [file.name for file in tmp_path.iterdir()] == ["edge.snapshot"]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:40] + b"?" + b[41:]])
def test_a_snapshot_that_cannot_be_read_counts_as_absent(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    store = SnapshotStore(tmp_path)
    store.save(made())
    file = tmp_path / "edge.snapshot"
    file.write_bytes(damage(file.read_bytes()))
    assert store.load() == {}


def test_a_node_that_has_left_is_forgotten(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.save(made())
    store.forget("edge")
    store.forget("edge")
    assert store.load() == {}


def test_the_revision_of_the_builders_changes_with_their_code_and_not_with_their_tests(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "builder.py").write_text("1")
    first = revision(tmp_path)
    (tmp_path / "tests/test_builder.py").write_text("1")
    assert revision(tmp_path) == first
    (tmp_path / "builder.py").write_text("2")
    assert revision(tmp_path) != first
