"""What every process needs before it starts, and Envoys while the control plane is away: files, identity, spool, a source of snapshots."""

import asyncio
import time
from pathlib import Path

from mesh.identity import Authority
from mesh.spiffe import CONTROL_PLANE, DIRECTORY, EDGE, spiffe_id
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.processes import Spec
from mesh.substrates.laptop.runner import Runner
from mesh.topology import Topology
from mesh.xds.ads import AdsServer
from mesh.xds.sidecar import sidecar_id
from mesh.xds.store import SnapshotStore

_PATIENCE_SECONDS = 1.0  # the control plane may be away so long before the fallback speaks for it
CONTROL_PLANE_ADS = "ads-control-plane.sock"
_FALLBACK_ADS = "ads-fallback.sock"


class Nodes:
    """The directories of the nodes, and the ADS socket that they all connect to."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._authority: Authority | None = None

    def adopt(self) -> None:
        """Lead Envoys to the control plane, whoever a killed supervisor had led them to; those that are connected stay so."""
        self._point_ads(CONTROL_PLANE_ADS)

    def renew(self, topology: Topology) -> None:
        """Issue the certificates that are missing, or past half of their life. Envoys and the control plane see them change."""
        if self._authority is None:
            self._authority = Authority.open(self._places.ca)
        domain, lifetime = topology.identity.trust_domain, topology.identity.certificate_lifetime_seconds
        names = {sidecar_id(workload.id): workload.service for workload in topology.workloads().values()}
        if topology.edge:
            names[topology.edge.id] = EDGE
        directories = {self._places.node(node) / DIRECTORY: name for node, name in names.items()}
        directories[self._places.run / DIRECTORY] = CONTROL_PLANE
        for directory, name in directories.items():
            identity = spiffe_id(domain, name)
            if self._authority.renewal_due(directory, identity, now=time.time()):
                self._authority.issue(identity, directory, lifetime_seconds=lifetime)

    def before_start(self, spec: Spec) -> None:
        """Write what the process reads; make the edge a fresh spool: one Envoy never writes into another one's files. Raises: OSError."""
        spec.cwd.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in spec.files.items():
            _write(spec.cwd / name, text)
        if spec.kind == "edge":
            incarnation = self._places.spool / spec.name / str(time.time_ns())
            incarnation.mkdir(mode=0o700, parents=True)
            _link(spec.cwd / "spool", str(incarnation))
        if spec.kind == "workload":
            (spec.cwd / "app.sock").unlink(missing_ok=True)

    async def keep_ads(self, control_plane: Runner) -> None:
        """Serve the last good snapshots from disk for as long as the control plane is away."""
        fallback: AdsServer | None = None
        try:
            while True:
                await asyncio.sleep(0.1)
                if control_plane.state in ("ready", "unwell"):
                    if fallback:
                        self._point_ads(CONTROL_PLANE_ADS)
                        await fallback.stop()  # every Envoy connects again, to the control plane
                        fallback = None
                elif fallback is None and not await control_plane.until_ready(_PATIENCE_SECONDS):
                    fallback = await self._begin_fallback()
        finally:
            if fallback:
                await fallback.stop()

    async def _begin_fallback(self) -> AdsServer:
        server = AdsServer.from_store(
            SnapshotStore(self._places.snapshots),
            address=f"unix:{self._places.run / _FALLBACK_ADS}",
            identity=self._places.run / DIRECTORY,
        )
        await server.start()
        self._point_ads(_FALLBACK_ADS)
        return server

    def _point_ads(self, target: str) -> None:
        _link(self._places.ads_socket, target)


def _link(link: Path, target: str) -> None:
    """Make `link` point to `target`, in one step for whoever follows it."""
    fresh = link.with_name(link.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)
