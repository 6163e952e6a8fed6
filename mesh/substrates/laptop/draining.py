"""Ending an edge without cutting calls: no new connections, and what is under way is answered, for a bounded time."""

import asyncio
import contextlib

from mesh.substrates.laptop import probes
from mesh.substrates.laptop.processes import Spec
from mesh.xds.admin import ADMIN_SOCKET

_SECONDS = 5.0


async def drain(edge: Spec) -> None:
    """Let `edge` take no new connection, and wait until the calls under way are answered. Never raises."""
    admin = edge.cwd / ADMIN_SOCKET
    with contextlib.suppress(OSError, ValueError):  # it does not answer: there is nothing to wait for
        async with asyncio.timeout(_SECONDS):
            await probes.http_status(admin, "/drain_listeners", "POST")
            while await probes.active_calls(admin):  # noqa: ASYNC110 (Envoy has no event to wait for)
                await asyncio.sleep(0.05)
