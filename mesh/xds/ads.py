"""Serves snapshots to Envoys: the aggregated discovery service, incremental, over mutual TLS.

Rules: a node is told its own snapshot and nobody else's: its certificate must carry the identity that the snapshot names,
else PERMISSION_DENIED; a node that the topology does not know is NOT_FOUND and asks again; what Envoys answer goes
through relay.py. The protocol itself is in delta.py. Everything here runs on one event loop.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from mesh.node_status import NodeStatus
from mesh.spiffe import CURRENT
from mesh.xds.messages import message
from mesh.xds.nodes import ServedNode
from mesh.xds.relay import Accepted, Rejected, Relay
from mesh.xds.snapshot import Snapshot
from mesh.xds.store import SnapshotStore

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
STOP_SECONDS = 1.0

_LOOK, _END = object(), object()  # in an inbox, among requests: look what there is to send; the stream ends
_Inbox = asyncio.Queue[Any]


class AdsServer:
    def __init__(
        self,
        *,
        address: str,
        identity: Path,
        store: SnapshotStore | None = None,
        accepted: Accepted | None = None,
        rejected: Rejected | None = None,
    ) -> None:
        """address: "unix:/…/ads.sock" or "host:port". identity: the directory of our certificate (mesh/spiffe.py).

        store: keeps what nodes accept, and says what they had accepted before a restart.
        accepted, rejected: told what nodes answer, for each snapshot once, or again where they failed (mesh/xds/relay.py).
        """
        self._address, self._identity, self._store = address, identity, store
        self._relay = Relay(store, accepted, rejected)
        self._restored: Mapping[str, Snapshot] = store.load() if store else {}
        self._nodes: dict[str, ServedNode] = {}
        self._inboxes: dict[str, list[_Inbox]] = {}
        self._position = 0
        self._server: grpc.aio.Server | None = None

    @classmethod
    def from_store(cls, store: SnapshotStore, *, address: str, identity: Path) -> "AdsServer":
        """Serves what `store` holds now and keeps nothing: for as long as the control plane is away."""
        server = cls(address=address, identity=identity)
        server._restored = store.load()
        server.publish(server._restored, max((kept.position for kept in server._restored.values()), default=0))
        return server

    async def start(self) -> None:
        """Raises: OSError, if the certificate cannot be read; RuntimeError, if the address cannot be had."""
        handler: Any = grpc.stream_stream_rpc_method_handler(
            self._converse,
            request_deserializer=message("envoy.service.discovery.v3.DeltaDiscoveryRequest").FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
        methods = {"DeltaAggregatedResources": handler}
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        self._server.add_secure_port(self._address, _credentials(self._identity))
        await self._server.start()
        self._relay.start()

    async def stop(self) -> None:
        """End every stream; Envoys keep what they have and ask again. What they answered until now is handed on."""
        for id_ in self._nodes:
            self._put(id_, _END)
        if self._server:
            await self._server.stop(STOP_SECONDS)
        await self._relay.stop()

    def publish(self, snapshots: Mapping[str, Snapshot], position: int) -> None:
        """From now on, serve `snapshots`, all that there are, as of `position` of the stream `mesh`."""
        self._position = position
        for id_ in self._nodes.keys() - snapshots.keys():
            self._put(id_, _END)
            del self._nodes[id_]
            if self._store:
                self._store.forget(id_)
        for id_, snapshot in snapshots.items():
            node = self._nodes.get(id_)
            if node is None:
                self._nodes[id_] = ServedNode(snapshot, self._restored.get(id_))
                continue
            must_prove_again = snapshot.identity != node.snapshot.identity
            node.offer(snapshot)
            self._put(id_, _END if must_prove_again else _LOOK)

    def status(self) -> list[NodeStatus]:
        return [node.status(id_) for id_, node in sorted(self._nodes.items())]

    def _put(self, id_: str, what: object) -> None:
        for inbox in self._inboxes.get(id_, ()):
            inbox.put_nowait(what)

    async def _converse(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """One stream of one node, from its first request to its end."""
        first = await anext(aiter(requests), None)
        if first is None:
            return
        id_: str = first.node.id
        node = self._nodes.get(id_)
        await _admit(id_, node.snapshot.identity if node else None, context)
        assert node is not None  # noqa: S101 - _admit() aborted otherwise
        inbox: _Inbox = asyncio.Queue()
        inbox.put_nowait(first)
        stream = node.opened()
        self._inboxes.setdefault(id_, []).append(inbox)
        reader = asyncio.create_task(_read(requests, inbox))
        try:
            while (request := await inbox.get()) is not _END:
                rejection = stream.receive(request) if request is not _LOOK else None
                if rejection and node.refused(rejection):
                    self._relay.rejected(rejection)
                for response in stream.responses():
                    yield response
                if accepted := node.progressed(stream, self._position):
                    self._relay.accepted(accepted)
        finally:
            reader.cancel()
            node.closed(stream)
            self._inboxes[id_].remove(inbox)


async def _admit(id_: str, identity: str | None, context: Any) -> None:
    """Aborts the stream unless its peer may speak for the node `id_`, which must prove `identity`."""
    if identity is None:
        await context.abort(grpc.StatusCode.NOT_FOUND, f"the topology has no node {id_!r}")
    proven = [name.decode() for name in context.auth_context().get("x509_subject_alternative_name", ())]
    if identity not in proven:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{' '.join(proven)} may not speak for {id_}")


async def _read(requests: AsyncIterator[Any], inbox: _Inbox) -> None:
    try:
        async for request in requests:
            inbox.put_nowait(request)
    finally:
        inbox.put_nowait(_END)


def _credentials(identity: Path) -> grpc.ServerCredentials:
    """Mutual TLS with whatever is current in `identity`, looked up at each handshake: rotation needs no restart."""

    def current() -> grpc.ServerCertificateConfiguration:
        directory = (identity / CURRENT).resolve(strict=True)  # once, so that key and certificate are of one version
        pair = ((directory / "key.pem").read_bytes(), (directory / "cert.pem").read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=(directory / "ca.pem").read_bytes())

    return grpc.dynamic_ssl_server_credentials(current(), current, require_client_authentication=True)
