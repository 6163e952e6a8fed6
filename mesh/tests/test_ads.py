"""Real Envoys take their configuration from the ADS server over mutual TLS, and say what they think of it."""

import asyncio
from dataclasses import replace

from google.protobuf.message import Message

from mesh.tests.envoys import app, apps, get, listening, running, under_load, until
from mesh.tests.plain_mesh import edge_resources, joined, left, shifted, topology
from mesh.topology import Topology
from mesh.xds.ads import AdsServer

SIDECAR = "sidecar-w-v1-1"


async def test_a_call_passes_edge_and_sidecar_that_were_configured_by_ads() -> None:
    wanted = topology()
    async with running() as mesh, apps(mesh, wanted):
        await mesh.serving(wanted, position=3)
        answer = await get(wanted)
        assert answer.text == "v1"
        assert answer.headers["x-meshlog-position"] == "3"
        assert {said[:3] for said in mesh.said} == {("accepted", "edge", 3), ("accepted", SIDECAR, 3)}


async def test_weights_change_under_load_without_a_failed_call_and_each_answer_carries_its_position() -> None:
    wanted = topology(("v1", "v2"))
    async with running() as mesh, apps(mesh, wanted):
        await mesh.serving(wanted, position=1)
        async with under_load(wanted) as called:
            await asyncio.sleep(0.3)
            mesh.publish(shifted(wanted, {"v1": 0, "v2": 100}), 2)
            await mesh.acknowledged(2)
            await asyncio.sleep(0.3)
        assert not called.failed
        seen = {(answer.headers["x-meshlog-position"], answer.body) for answer in called.answers}
        assert seen == {("1", b"v1"), ("2", b"v2")}


async def test_a_commit_that_does_not_touch_a_node_sends_it_nothing_and_it_counts_as_converged() -> None:
    wanted = topology(("v1", "v2"))
    async with running() as mesh, apps(mesh, wanted):
        await mesh.serving(wanted, position=1)
        mesh.publish(shifted(wanted, {"v1": 50, "v2": 50}), 2)
        await mesh.acknowledged(2)
        assert await mesh.counter(SIDECAR, "listener_manager.lds.update_success") == 1
        assert [said[1] for said in mesh.said if said[2] == 2] == ["edge"]


async def test_a_version_joins_takes_over_and_the_old_one_leaves_without_a_failed_call() -> None:
    first = topology()
    second = joined(first, "v2")
    async with running() as mesh, apps(mesh, second):
        await mesh.serving(first, position=1)
        mesh.publish(second, 2)
        await mesh.start_envoy("sidecar-w-v2-1", "w", second)
        await mesh.acknowledged(2)
        await listening(second.workloads()["w-v2-1"].address)
        async with under_load(first) as called:
            for position, wanted in enumerate((shifted(second, {"v1": 0, "v2": 100}), left(second, "v1")), start=3):
                mesh.publish(wanted, position)
                await mesh.acknowledged(position)
                await asyncio.sleep(0.2)
        assert not called.failed
        assert called.answers[-1].body == b"v2"
        assert mesh.ads
        assert SIDECAR not in {node.id for node in mesh.ads.status()}


async def test_a_cluster_that_changes_goes_on_taking_calls() -> None:
    first = topology()
    async with running() as mesh, apps(mesh, first):
        await mesh.serving(first, position=1)
        async with under_load(first) as called:
            mesh.publish(replace(first, limits=replace(first.limits, requests_per_service=4_000)), 2)
            await mesh.acknowledged(2)
            await asyncio.sleep(0.3)
        assert not called.failed
        assert "w-v1::default_priority::max_requests::4000" in (await edge_admin(first, "/clusters"))
        assert "w-v1::added_via_api::true" in (await edge_admin(first, "/clusters"))
        assert '"dynamic_warming_clusters"' not in await edge_admin(first, "/config_dump")


async def edge_admin(wanted: Topology, path: str) -> str:
    assert wanted.edge
    moved = replace(wanted.edge, grpc_port=wanted.edge.admin_port)
    return (await get(replace(wanted, edge=moved), path)).text


async def test_a_rejected_snapshot_is_recorded_once_and_the_node_keeps_what_it_had() -> None:
    wanted = topology(("v1", "v2"))
    async with running() as mesh, apps(mesh, wanted):
        mesh.build = bad_where_v1_gets_one_percent
        await mesh.serving(wanted, position=1)
        mesh.publish(shifted(wanted, {"v1": 1, "v2": 99}), 2)
        await until(lambda: any(said[0] == "rejected" for said in mesh.said), "the edge says no")
        await asyncio.sleep(0.3)
        [(_, node, position, type_url, reason)] = [said for said in mesh.said if said[0] == "rejected"]
        assert (node, position, type_url.rpartition(".")[2]) == ("edge", 2, "RouteConfiguration")
        assert "weight" in reason.lower()
        assert mesh.ads
        [edge, *_] = mesh.ads.status()
        assert (edge.served, edge.acknowledged, edge.rejected) == (2, 1, reason)
        assert (await get(wanted)).headers["x-meshlog-position"] == "1"
        mesh.publish(shifted(wanted, {"v1": 0, "v2": 100}), 3)
        await mesh.acknowledged(3)
        assert (await get(wanted)).text == "v2"


def bad_where_v1_gets_one_percent(wanted: Topology, node_id: str, position: int) -> list[Message]:
    """What an Envoy rejects and our own check lets pass: a route table whose weights sum to nothing."""
    built = edge_resources(wanted, node_id, position)
    if wanted.services["w"].shares()["v1"] == 1:
        [table] = [part for part in built if part.DESCRIPTOR.name == "RouteConfiguration"]
        for share in table.virtual_hosts[0].routes[0].route.weighted_clusters.clusters:  # type: ignore[attr-defined]
            share.weight.value = 0
    return built


async def test_envoys_serve_while_the_control_plane_is_away_and_are_sent_nothing_they_have_when_it_is_back() -> None:
    wanted = topology(("v1", "v2"))
    async with running() as mesh, apps(mesh, wanted):
        await mesh.serving(wanted, position=1)
        await mesh.stop_control_plane()
        assert (await get(wanted)).text == "v1"
        mesh.said.clear()
        await mesh.start_control_plane()
        mesh.publish(wanted, 1)
        await until(lambda: mesh.ads and all(node.connected for node in mesh.ads.status()), "all connect again", 3.0)
        await mesh.acknowledged(1)
        assert await mesh.counter(SIDECAR, "listener_manager.lds.update_success") == 1
        assert await mesh.counter(SIDECAR, "cluster_manager.cds.update_success") == 1
        assert mesh.said == []
        mesh.publish(shifted(wanted, {"v1": 0, "v2": 100}), 2)
        await mesh.acknowledged(2)
        assert (await get(wanted)).text == "v2"


async def test_an_envoy_starts_without_the_control_plane_from_the_last_good_snapshot() -> None:
    wanted = topology()
    async with running() as mesh, apps(mesh, wanted):
        await mesh.serving(wanted, position=7)
        await mesh.stop_control_plane()
        await mesh.stop_envoy("edge")
        mesh.ads = AdsServer.from_store(mesh.store, address=f"unix:{mesh.run}/ads.sock", identity=mesh.run / "identity")
        await mesh.ads.start()
        await mesh.start_envoy("edge", "edge", wanted)
        await mesh.acknowledged(7)
        assert wanted.edge
        await listening(f"127.0.0.1:{wanted.edge.grpc_port}")
        assert (await get(wanted)).headers["x-meshlog-position"] == "7"


async def test_a_node_is_told_nothing_unless_its_certificate_says_that_it_is_that_node() -> None:
    wanted = topology()
    async with running() as mesh:
        await mesh.start_control_plane()
        mesh.publish(wanted, 1)
        await mesh.start_envoy("edge", "w", wanted)  # a sidecar's identity, the edge's name
        await until(lambda: "may not speak for edge" in mesh.log("edge"), "the stream is refused")
        assert mesh.ads
        assert not any(node.connected or node.served for node in mesh.ads.status())


async def test_a_node_that_the_topology_does_not_know_yet_is_served_as_soon_as_it_does() -> None:
    wanted = topology()
    async with running() as mesh, app(mesh.directory(SIDECAR), "v1"):
        await mesh.start_control_plane()
        await mesh.start_envoy(SIDECAR, "w", wanted)
        await until(lambda: "has no node" in mesh.log(SIDECAR), "the stream is refused")
        mesh.publish(replace(wanted, edge=None), 1)
        await mesh.acknowledged(1)


async def test_certificates_rotate_under_load_without_a_failed_call() -> None:
    wanted = topology()
    wanted = replace(wanted, identity=replace(wanted.identity, certificate_lifetime_seconds=4))
    async with running() as mesh, apps(mesh, wanted):
        await mesh.serving(wanted, position=1)
        async with under_load(wanted) as called:
            for _ in range(3):
                mesh.identify("edge", "edge", lifetime_seconds=4)
                mesh.identify(SIDECAR, "w", lifetime_seconds=4)
                await asyncio.sleep(1.2)
        assert not called.failed
        assert await mesh.counter(SIDECAR, "http.inbound.downstream_cx_ssl_total") > 8  # old connections did not stay


async def test_the_control_plane_shows_its_new_certificate_without_a_restart() -> None:
    wanted = topology()
    async with running() as mesh, apps(mesh, wanted):
        await mesh.start_control_plane()
        mesh.authority.issue("spiffe://test.local/impostor", mesh.run / "identity", lifetime_seconds=60)
        mesh.publish(wanted, 1)
        await mesh.start_envoy("edge", "edge", wanted)
        await asyncio.sleep(0.5)
        assert mesh.ads
        assert not any(node.connected for node in mesh.ads.status())
        mesh.authority.issue("spiffe://test.local/control-plane", mesh.run / "identity", lifetime_seconds=60)
        await until(lambda: mesh.ads and mesh.ads.status()[0].acknowledged == 1, "the edge trusts it again")
