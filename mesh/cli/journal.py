"""The journal's process: `python -m mesh.cli.journal STATE RUN EDGE`. Moves the spool of one edge into the log."""

import asyncio
import contextlib
import signal
import sys
import time
import uuid
from pathlib import Path

from mesh.control.client import ControlClient
from mesh.errors import MeshError
from mesh.events import CallEvent
from mesh.journal.shipper import Shipper
from mesh.log.port import Commit, Produced
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.probes import http_status
from mesh.substrates.laptop.processes import find
from mesh.xds.admin import ADMIN_SOCKET

_LAST_SECONDS = 5.0  # for what is in the spool when the mesh ends; the rest is moved at the next start


async def main(places: Places, edge: str) -> None:
    """Until SIGTERM; by then the edge has ended, and what it wrote is moved before we end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ControlClient(places.control_address) as control:
        shipper = _shipper(places, edge, control)
        shipping = asyncio.create_task(shipper.run())
        await stop.wait()
        shipping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await shipping
        with contextlib.suppress(MeshError, TimeoutError):  # the spool keeps it
            await asyncio.wait_for(shipper.drain(envoy_gone=_is_gone(places, edge)), _LAST_SECONDS)


def _shipper(places: Places, edge: str, control: ControlClient) -> Shipper:
    async def append(stream: str, events: tuple[CallEvent, ...], producer: str, offset: int) -> object:
        commit = Commit(uuid.uuid4().hex, "", f"journal of {edge}", "", time.time_ns() // 1000, events)
        return await control.append(stream, commit, produced=Produced(producer, offset))

    async def reopen_logs() -> object:
        return await http_status(places.node(edge) / ADMIN_SOCKET, "/reopen_logs", "POST")

    return Shipper(places.spool / edge, f"calls/{edge}", append, control.produced, reopen_logs)


def _is_gone(places: Places, edge: str) -> bool:
    return all(found.name != edge for found in find(places.run))


if __name__ == "__main__":
    asyncio.run(main(Places("", Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3]))
