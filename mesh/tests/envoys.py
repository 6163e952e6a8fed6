"""Real Envoys for tests: an edge and sidecars that take a plain mesh (plain_mesh.py) from ADS, apps that say their version.

Rule: everything ends with the test, by pid.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from google.protobuf.message import Message

from mesh.identity import Authority
from mesh.spiffe import spiffe_id
from mesh.substrates.laptop.specs import envoy_binary
from mesh.tests.load import Load, load
from mesh.tests.plain_mesh import DOMAIN, edge_resources
from mesh.topology import Topology
from mesh.xds.ads import AdsServer
from mesh.xds.bootstrap import bootstrap_json
from mesh.xds.cache import SnapshotCache
from mesh.xds.sidecar import sidecar_id
from mesh.xds.store import SnapshotStore


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
        flags += ["--drain-strategy", "immediate"]
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


def under_load(wanted: Topology) -> contextlib.AbstractAsyncContextManager[Load]:
    """Calls through the edge without a pause."""
    assert wanted.edge
    return load(wanted.edge.grpc_port, "/w", clients=4)


async def get(wanted: Topology, path: str = "/w") -> httpx.Response:
    """A call through the edge."""
    assert wanted.edge
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{wanted.edge.grpc_port}{path}")
