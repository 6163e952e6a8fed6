"""A small mesh of real Envoys for tests: an edge with one route table, sidecars, apps that answer with their own name.

Rules: ports from 21000 to 21499, looked up when they are needed; everything ends with the test, by pid.
"""

import asyncio
import contextlib
import importlib.util
import itertools
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
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
from mesh.xds.clusters import address, ads_source, circuit_breakers, eds_cluster, endpoints, http1_upstream
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
    made: Message = eds_cluster(
        cluster,
        http1_upstream(connection_seconds=lifetime),
        transport_socket=upstream_mutual_tls(spiffe_id(topology.identity.trust_domain, service), alpn="http/1.1"),
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
        routes.append({"match": {"prefix": f"/{name}"}, "route": {"weighted_clusters": {"clusters": shares}}})
    stamp = {"header": {"key": "x-meshlog-position", "value": str(position)}}
    table: Message = message("envoy.config.route.v3.RouteConfiguration")(
        name="main",
        virtual_hosts=[{"name": "all", "domains": ["*"], "routes": routes}],
        response_headers_to_add=[stamp],
    )
    return table


def topology(versions: tuple[str, ...] = ("v1",), weights: dict[str, int] | None = None) -> Topology:
    """One service "w" with one workload of each version, behind an edge; on ports of its own."""
    workloads = {
        id_: Workload(id_, "w", version, f"127.0.0.1:{free_port()}", "unix:app.sock")
        for version in versions
        for id_ in [f"w-{version}-1"]
    }
    edge = Edge(grpc_port=free_port(), rest_port=free_port(), admin_port=free_port())
    base = Topology(edge=edge, services={"w": Service("http", workloads=workloads, weights=weights or {})})
    return replace(base, identity=replace(base.identity, trust_domain=DOMAIN))


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


def _every(step: float, seconds: float) -> Iterator[int]:
    return iter(range(int(seconds / step)))


async def get(wanted: Topology, path: str = "/w") -> httpx.Response:
    """A call through the edge."""
    assert wanted.edge
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{wanted.edge.grpc_port}{path}")


def dumped(config: httpx.Response, kind: str) -> list[dict[str, Any]]:
    """The parts of a config dump whose type ends with `kind`."""
    return [part for part in json.loads(config.text)["configs"] if part["@type"].endswith(kind)]
