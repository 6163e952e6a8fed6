"""The topology as others see it: folded from the `mesh` stream over the control API, across every absence of the control plane."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from mesh.control.client import ControlClient
from mesh.errors import ControlPlaneUnavailable
from mesh.topology import Topology, evolve

_AGAIN_SECONDS = 0.2


async def topologies(address: str) -> AsyncIterator[tuple[int, Topology]]:
    """Each position of the mesh and the topology at it, from the newest on, without end."""
    topology, position = Topology(), 0
    while True:
        with contextlib.suppress(ControlPlaneUnavailable):
            async with ControlClient(address) as control:
                head = (await control.status()).position
                if head and position >= head:
                    yield position, topology
                async for entry in control.watch("mesh", after=position):
                    for event in entry.commit.events:
                        topology = evolve(topology, event)  # type: ignore[arg-type]  # `mesh` holds MeshEvents only
                    position = entry.position
                    if position >= head:  # what is older is history already
                        yield position, topology
        await asyncio.sleep(_AGAIN_SECONDS)
