"""One command at a time begins or ends a mesh.

Rule: the lock is on the mesh's own directory, so there is no lock file, and nothing stale: the kernel lets it go with the
process that held it.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable

from mesh.substrates.laptop.places import Places

_AGAIN_SECONDS = 0.1


@contextlib.asynccontextmanager
async def exclusively(mesh: Places, waiting: Callable[[float], bool]) -> AsyncIterator[None]:
    """Hold the lock of `mesh`, whose directories are there.

    waiting: called with the seconds gone, again and again, while somebody else holds it; where it returns False, we go on without.
    """
    descriptor = os.open(mesh.state, os.O_RDONLY | os.O_DIRECTORY)
    begun = asyncio.get_running_loop().time()
    try:
        while not _locked(descriptor) and waiting(asyncio.get_running_loop().time() - begun):  # noqa: ASYNC110 (no event says it)
            await asyncio.sleep(_AGAIN_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
