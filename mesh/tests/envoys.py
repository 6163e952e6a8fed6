"""A small mesh of real Envoys for tests: an edge with one route table, sidecars, apps that answer with their own name.

Rules: ports from 21000 to 21499, looked up when they are needed; everything ends with the test, by pid.
"""

import asyncio
import contextlib
import importlib.util
import itertools
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from google.protobuf.message import Message

from mesh.events import Edge, Workload
from mesh.identity import Authority
from mesh.spiffe import spiffe_id
from mesh.topology import Service, Topology
from mesh.xds.ads import AdsServer
from mesh.xds.bootstrap import bootstrap_json
from mesh.xds.cache import SnapshotCache
from mesh.xds.clusters import (
    address,
    ads_source,
    circuit_breakers,
    duration,
    eds_cluster,
    endpoints,
    http1_upstream,
    http2_upstream,
)
from mesh.xds.http import listener, router_filter
from mesh.xds.messages import message
from mesh.xds.sidecar import sidecar_id
from mesh.xds.store import SnapshotStore
from mesh.xds.tls import connection_seconds, upstream_mutual_tls

DOMAIN = "test.local"
_PORTS = itertools.count(21_000)


def envoy_binary() -> str:
    spec = importlib.util.find_spec("envoy")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(Path(next(iter(spec.submodule_search_locations))) / "_bin/envoy")


def free_port() -> int:
    """A port of ours that nobody listens on."""
    for port in _PORTS:
        assert port < 21_500, "the ports of these tests are used up"
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


def edge_resources(topology: Topology, node_id: str, position: int) -> list[Message]:
    """An edge without any feature: a version's share of calls, and the position they are served under."""
    assert topology.edge
    resources = [_edge_listener(topology.edge), _route_table(topology, position)]
    for name, service in topology.services.items():
        for version, workloads in service.versions().items():
            cluster = f"{name}-{version}"
            resources.append(endpoints(cluster, [workload.address for workload in workloads]))
            resources.append(_version_cluster(cluster, name, topology))
    return resources


def _version_cluster(cluster: str, service: str, topology: Topology) -> Message:
    lifetime = connection_seconds(topology.identity.certificate_lifetime_seconds)
    limits = topology.limits
    speaks_grpc = topology.services[service].protocol == "grpc"
    http2 = http2_upstream(streams_per_connection=1_024, connection_seconds=lifetime)
    server = spiffe_id(topology.identity.trust_domain, service)
    made: Message = eds_cluster(
        cluster,
        http2 if speaks_grpc else http1_upstream(connection_seconds=lifetime),
        transport_socket=upstream_mutual_tls(server, alpn="h2" if speaks_grpc else "http/1.1"),
        circuit_breakers=circuit_breakers(
            connections=limits.connections_per_service, requests=limits.requests_per_service, pending=1_000
        ),
    )
    return made


def _edge_listener(edge: Edge) -> Message:
    manager = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")(
        stat_prefix="edge",
        rds={"route_config_name": "main", "config_source": ads_source()},
        http_filters=[router_filter()],
    )
    made: Message = listener("main", address(f"{edge.address}:{edge.grpc_port}"), manager)
    return made


def _route_table(topology: Topology, position: int) -> Message:
    routes = []
    for name, service in topology.services.items():
        shares = [{"name": f"{name}-{v}", "weight": {"value": share}} for v, share in service.shares().items()]
        action = {"weighted_clusters": {"clusters": shares}, "timeout": duration(0)}
        routes.append({"match": {"prefix": f"/{name}"}, "route": action})
    stamp = {"header": {"key": "x-meshlog-position", "value": str(position)}}
    table: Message = message("envoy.config.route.v3.RouteConfiguration")(
        name="main",
        virtual_hosts=[{"name": "all", "domains": ["*"], "routes": routes}],
        response_headers_to_add=[stamp],
    )
    return table


def topology(
    versions: tuple[str, ...] = ("v1",), weights: dict[str, int] | None = None, protocol: str = "http"
) -> Topology:
    """One service "w" with one workload of each version, behind an edge; on ports of its own."""
    workloads = {
        id_: Workload(id_, "w", version, f"127.0.0.1:{free_port()}", "unix:app.sock")
        for version in versions
        for id_ in [f"w-{version}-1"]
    }
    edge = Edge(grpc_port=free_port(), rest_port=free_port(), admin_port=free_port())
    base = Topology(edge=edge, services={"w": Service(protocol, workloads=workloads, weights=weights or {})})
    return replace(base, identity=replace(base.identity, trust_domain=DOMAIN))


def joined(before: Topology, version: str) -> Topology:
    """`before`, and one workload of another version."""
    service = before.services["w"]
    workload = Workload(f"w-{version}-1", "w", version, f"127.0.0.1:{free_port()}", "unix:app.sock")
    return replace(before, services={"w": replace(service, workloads={**service.workloads, workload.id: workload})})


def left(before: Topology, version: str) -> Topology:
    """`before` without the workloads of a version."""
    service = before.services["w"]
    staying = {id_: workload for id_, workload in service.workloads.items() if workload.version != version}
    return replace(before, services={"w": replace(service, workloads=staying)})


def shifted(before: Topology, weights: dict[str, int]) -> Topology:
    return replace(before, services={"w": replace(before.services["w"], weights=weights)})


@dataclass
class Running:
    """Where everything is, and what runs."""

    run: Path
    authority: Authority
    store: SnapshotStore
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    ads: AdsServer | None = None
    cache: SnapshotCache | None = None
    build: Callable[[Topology, str, int], list[Message]] = edge_resources
    said: list[tuple[Any, ...]] = field(default_factory=list)  # what nodes answered

    def directory(self, node_id: str) -> Path:
        directory = self.run / "nodes" / node_id
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    async def start_control_plane(self) -> None:
        async def accepted(*said: Any) -> None:
            self.said.append(("accepted", *said))

        async def rejected(*said: Any) -> None:
            self.said.append(("rejected", *said))

        identity = self.run / "identity"
        self.authority.issue(spiffe_id(DOMAIN, "control-plane"), identity, lifetime_seconds=600)
        self.cache = SnapshotCache(self.build, self.store.load())
        self.ads = AdsServer(
            address=f"unix:{self.run}/ads.sock",
            identity=identity,
            store=self.store,
            accepted=accepted,
            rejected=rejected,
        )
        await self.ads.start()

    async def stop_control_plane(self) -> None:
        if self.ads:
            await self.ads.stop()
            self.ads = None

    def publish(self, wanted: Topology, position: int) -> None:
        assert self.ads
        assert self.cache
        self.ads.publish(self.cache.update(wanted, position), position)

    def identify(self, node_id: str, name: str, lifetime_seconds: float = 600) -> None:
        directory = self.directory(node_id) / "identity"
        self.authority.issue(spiffe_id(DOMAIN, name), directory, lifetime_seconds=lifetime_seconds)

    async def start_envoy(self, node_id: str, name: str, wanted: Topology) -> None:
        """Start the Envoy of a node; `name` is who it proves to be."""
        directory = self.directory(node_id)
        self.identify(node_id, name)
        port = wanted.edge.admin_port if wanted.edge and node_id == wanted.edge.id else None
        (directory / "bootstrap.json").write_text(bootstrap_json(node_id, wanted, admin_port=port))
        flags = ["-c", "bootstrap.json", "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
        with (directory / "envoy.log").open("ab") as log:
            self.processes[node_id] = await asyncio.create_subprocess_exec(
                envoy_binary(), *flags, cwd=directory, stdout=log, stderr=log
            )

    async def stop_envoy(self, node_id: str) -> None:
        process = self.processes.pop(node_id)
        process.kill()
        await process.wait()

    async def serving(self, wanted: Topology, position: int = 1) -> None:
        """Start everything that `wanted` needs and wait until it serves."""
        await self.start_control_plane()
        self.publish(wanted, position)
        await self.start_all(wanted)
        await self.acknowledged(position)
        await until_async(lambda: _answers(wanted), "the edge answers")

    async def acknowledged(self, position: int) -> None:
        """Wait until every node runs what belongs to `position`."""
        ads = self.ads
        assert ads
        await until(lambda: all(node.acknowledged == position for node in ads.status()), f"all nodes at {position}")

    async def start_all(self, wanted: Topology) -> None:
        for id_, workload in wanted.workloads().items():
            await self.start_envoy(sidecar_id(id_), workload.service, wanted)
        assert wanted.edge
        await self.start_envoy(wanted.edge.id, "edge", wanted)

    async def admin(self, node_id: str, path: str) -> httpx.Response:
        """What the admin interface of a sidecar says."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.directory(node_id) / "admin.sock"))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(f"http://admin{path}")

    async def counter(self, node_id: str, name: str) -> int:
        """A counter of a sidecar."""
        text = (await self.admin(node_id, f"/stats?filter=^{name}$")).text
        return int(text.rpartition(":")[2])

    def log(self, node_id: str) -> str:
        return (self.directory(node_id) / "envoy.log").read_text()


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Running]:
    """Places for a mesh; whatever was started in them is ended afterwards."""
    root = Path(tempfile.mkdtemp(prefix="xds"))  # short: a unix socket's path has 107 bytes
    mesh = Running(root / "run", Authority.open(root / "ca"), SnapshotStore(root / "snapshots"))
    mesh.run.mkdir()
    try:
        yield mesh
    finally:
        await mesh.stop_control_plane()
        for node_id in list(mesh.processes):
            await mesh.stop_envoy(node_id)
        shutil.rmtree(root)


@contextlib.asynccontextmanager
async def app(directory: Path, says: str) -> AsyncIterator[None]:
    """A workload: an HTTP/1.1 server on app.sock that answers every request with `says`."""
    answer = f"HTTP/1.1 200 OK\r\ncontent-length: {len(says)}\r\n\r\n{says}".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, directory / "app.sock", backlog=1_000)
    try:
        yield
    finally:
        server.close()


@contextlib.asynccontextmanager
async def apps(mesh: Running, wanted: Topology) -> AsyncIterator[None]:
    """An app for every workload; it says its version."""
    async with contextlib.AsyncExitStack() as stack:
        for id_, workload in wanted.workloads().items():
            await stack.enter_async_context(app(mesh.directory(sidecar_id(id_)), workload.version))
        yield


async def until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Wait until `condition` holds; fail with `what` did not happen."""
    for _ in _every(0.02, seconds):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"did not happen within {seconds} s: {what}")


async def until_async(condition: Callable[[], Awaitable[object]], what: str, seconds: float = 10.0) -> None:
    for _ in _every(0.05, seconds):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"did not happen within {seconds} s: {what}")


async def listening(place: str) -> None:
    """Wait until somebody listens on "host:port": an Envoy acknowledges a listener a moment before it does."""

    async def connects() -> bool:
        with contextlib.suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection(*place.split(":"))
            writer.close()
            return True
        return False

    await until_async(connects, f"somebody listens on {place}")


async def _answers(wanted: Topology) -> bool:
    with contextlib.suppress(httpx.TransportError):
        path = "/w" if wanted.services["w"].protocol == "http" else "/nowhere"  # nobody could answer GET by gRPC
        return (await get(wanted, path)).status_code < 500
    return False


def _every(step: float, seconds: float) -> Iterator[int]:
    return iter(range(int(seconds / step)))


@contextlib.asynccontextmanager
async def under_load(wanted: Topology, clients: int = 4) -> AsyncIterator[list[httpx.Response]]:
    """Calls through the edge without a pause, by several clients; yields the answers, which grow."""
    answers: list[httpx.Response] = []
    stopping = asyncio.Event()

    async def call() -> None:
        assert wanted.edge
        async with httpx.AsyncClient() as client:
            while not stopping.is_set():
                answers.append(await client.get(f"http://127.0.0.1:{wanted.edge.grpc_port}/w"))

    tasks = [asyncio.create_task(call()) for _ in range(clients)]
    try:
        yield answers
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


async def get(wanted: Topology, path: str = "/w") -> httpx.Response:
    """A call through the edge."""
    assert wanted.edge
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{wanted.edge.grpc_port}{path}")
