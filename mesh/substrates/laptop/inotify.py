"""Can this user watch as many files as a mesh does? Envoy watches its certificates by inotify, and dies where it may not.

Linux allows a user 128 inotify instances by default, and editors and file managers take some.
"""

import ctypes
import os
from pathlib import Path

from mesh.errors import SubstrateError

INSTANCES_PER_ENVOY = 5  # one a thread and a few besides; counted in /proc/<pid>/fd of Envoy 1.40
_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


def require_instances(envoys: int) -> None:
    """Raises SubstrateError if this user has not enough inotify instances left to start so many Envoys."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        return  # not Linux: Envoy watches in another way there
    needed = envoys * INSTANCES_PER_ENVOY
    taken: list[int] = []
    try:
        while len(taken) < needed:
            descriptor = libc.inotify_init1(os.O_CLOEXEC)
            if descriptor < 0:
                raise SubstrateError(
                    f"{envoys} Envoys need {needed} inotify instances and this user has {len(taken)} left of "
                    f"{_LIMIT.read_text().strip()}; end programs that watch files, or raise the limit: "
                    "sudo sysctl fs.inotify.max_user_instances=1024"
                )
            taken.append(descriptor)
    finally:
        for descriptor in taken:
            os.close(descriptor)
