"""The supervisor's process: `python -m mesh.cli.supervisor STATE RUN NAME`. What it has to say before it ends is in `failure`."""

import asyncio
import sys
from pathlib import Path

from mesh.errors import MeshError
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.processes import raise_file_limit
from mesh.substrates.laptop.specs import envoy_binary
from mesh.substrates.laptop.supervisor import Supervisor


async def _main(places: Places) -> None:
    await Supervisor(places, envoy_binary()).run()


if __name__ == "__main__":
    state, run, name = sys.argv[1:4]
    raise_file_limit()
    try:
        asyncio.run(_main(Places(name, Path(state), Path(run))))
    except (MeshError, OSError) as error:
        sys.exit(f"meshlog: {error}")
