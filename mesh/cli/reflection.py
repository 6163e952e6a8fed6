"""The process of the edge's reflection server: `python -m mesh.cli.reflection STATE RUN EDGE`, in the edge's directory."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from edge.reflection import serve
from mesh.control.watch import topologies
from mesh.substrates.laptop.places import Places
from mesh.topology import Topology


async def _topologies(places: Places) -> AsyncIterator[Topology]:
    async for _, topology in topologies(places.control_address):
        yield topology


if __name__ == "__main__":
    asyncio.run(serve("unix:reflection.sock", _topologies(Places("", Path(sys.argv[1]), Path(sys.argv[2])))))
