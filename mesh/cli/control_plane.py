"""The control plane's process: `python -m mesh.cli.control_plane STATE RUN`.

Owns the log, decides commands, builds every node's configuration and serves it. The one place where the edge's builders meet
the mesh.
"""

import asyncio
import contextlib
import signal
import sys
import time
import uuid
from pathlib import Path

from edge.resources import edge_resources
from mesh.control.plane import ControlPlane
from mesh.control.server import ControlServer
from mesh.decide import decide
from mesh.errors import MeshError
from mesh.log.sqlite import SqliteLog
from mesh.spiffe import CURRENT, DIRECTORY
from mesh.substrates.laptop.nodes import CONTROL_PLANE_ADS
from mesh.substrates.laptop.places import Places
from mesh.topology import Topology
from mesh.xds.ads import AdsServer
from mesh.xds.cache import SnapshotCache, revision
from mesh.xds.store import SnapshotStore

_ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 0.02


async def main(places: Places) -> None:
    """Until SIGTERM. Raises: LogUnavailable, UnreadableEvent, SubstrateError."""
    builders = revision(_ROOT / "edge", _ROOT / "mesh")
    store = SnapshotStore(places.snapshots)
    log = await SqliteLog.open(places.log)
    cache = SnapshotCache(edge_resources, store.load())
    plane = ControlPlane(
        log,
        decide=decide,
        check=cache.check_topology,
        nodes=lambda: ads.status(),  # noqa: PLW0108 (each needs the other: `ads` is made below)
        clock_us=lambda: time.time_ns() // 1000,
        new_id=lambda: uuid.uuid4().hex,
    )
    ads = AdsServer(
        address=f"unix:{places.run / CONTROL_PLANE_ADS}",
        identity=places.run / DIRECTORY,
        store=store,
        accepted=lambda node, position, digest: plane.snapshot_accepted(node, position, digest, builders),
        rejected=lambda node, position, type_url, reason: plane.snapshot_rejected(
            node, position, type_url, reason, builders
        ),
    )

    def publish(topology: Topology, position: int) -> None:
        ads.publish(cache.update(topology, position), position)

    control = ControlServer(plane, places.control_address)
    await plane.start()
    plane.observe(publish)
    await control.start()
    try:
        await _serve_ads_until_told(ads, places)
    finally:
        await ads.stop()
        await control.stop()
        await plane.stop()
        await log.close()


async def _serve_ads_until_told(ads: AdsServer, places: Places) -> None:
    """The certificate comes from the supervisor, who learns the trust domain from the first topology: from us."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    certificate = places.run / DIRECTORY / CURRENT / "cert.pem"
    while not certificate.exists() and not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _POLL_SECONDS)
    if not stop.is_set():
        await ads.start()
        await stop.wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(Places("", Path(sys.argv[1]), Path(sys.argv[2]))))
    except MeshError as error:
        sys.exit(str(error))
