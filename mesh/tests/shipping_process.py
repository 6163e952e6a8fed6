"""A shipper and the log it ships to, in one process that a test can kill: `python -m mesh.tests.shipping_process SPOOL LOG`."""

import asyncio
import sys
import time
import uuid
from pathlib import Path

from mesh.events import CallEvent
from mesh.journal.shipper import Shipper
from mesh.log.port import Commit, Produced
from mesh.log.sqlite import SqliteLog

STREAM = "calls/edge"


async def main(spool: Path, directory: Path) -> None:
    log = await SqliteLog.open(directory)

    async def append(stream: str, events: tuple[CallEvent, ...], producer: str, offset: int) -> None:
        commit = Commit(uuid.uuid4().hex, "", "shipper", "", time.time_ns() // 1000, events)
        await log.append(stream, commit, produced=Produced(producer, offset))

    await Shipper(spool, STREAM, append, log.offset).run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
