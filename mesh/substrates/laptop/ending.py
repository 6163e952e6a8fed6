"""How processes end: noticed at once, told why, and ended with all that they started.

Rules: nothing is polled where the kernel can tell (a pidfd becomes readable at the end of any process, child or not); a
process that has ended is reaped if it is ours, and counts as gone while it is a zombie of somebody who does not reap. Nothing is ever
signalled but what carries the mesh's mark in its environment: a number (of a process, a session) proves nothing, and in a
container the session 0 is everybody who was started from outside.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from mesh.substrates.laptop.processes import remains

_POLL_SECONDS = 0.05
_KILL_SECONDS = 5.0  # SIGKILL works at once, unless the kernel itself is stuck


def how_ended(process: psutil.Process) -> str:
    """How the process has ended, for people; empty while it runs."""
    with contextlib.suppress(psutil.Error):
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return ""
    with contextlib.suppress(ChildProcessError):  # it was not our child
        pid, status = os.waitpid(process.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return f"exited with status {code}" if code >= 0 else f"was killed by {_signal_name(-code)}"
    return "ended"


async def ended(process: psutil.Process, seconds: float | None = None) -> str:
    """Wait until the process has ended: how. Empty if it still runs after `seconds`."""
    try:
        watch = os.pidfd_open(process.pid)
    except OSError:  # it is gone, or this kernel has no such thing
        watch = -1
    try:
        async with asyncio.timeout(seconds):
            while not (how := how_ended(process)):
                if watch >= 0:
                    await _readable(watch)
                await asyncio.sleep(_POLL_SECONDS if watch < 0 else 0)
            return how
    except TimeoutError:
        return how_ended(process)
    finally:
        if watch >= 0:
            os.close(watch)


async def end(process: psutil.Process, seconds: float) -> None:
    """SIGTERM, and after `seconds` SIGKILL, to all of its group then."""
    terminate(process)
    if not await ended(process, seconds):
        _kill(process)
        await ended(process, _KILL_SECONDS)


async def end_others(processes: Iterable[psutil.Process], seconds: float = 0.5) -> None:
    """End what nobody knows by name: all are asked, and killed soon after."""
    left = list(processes)
    for process in left:
        terminate(process)
    deadline = time.monotonic() + seconds
    for process in left:
        if not await ended(process, max(0.0, deadline - time.monotonic())):
            _kill(process)
            await ended(process, _KILL_SECONDS)


async def clear(run: Path, name: str) -> None:
    """End what the process `name` has left behind, so that its successor is alone with its ports and sockets."""
    await end_others(remains(run, name))


def terminate(process: psutil.Process) -> None:
    """Ask a process to end; one that is stopped (Ctrl-Z, SIGSTOP) is let go on, or it would never hear of it."""
    with contextlib.suppress(psutil.Error):
        process.terminate()
        process.resume()


def is_stopped(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.status() == psutil.STATUS_STOPPED)
    return False


def _kill(process: psutil.Process) -> None:
    """SIGKILL to the process; to its group too if it leads one, as all do that we start."""
    with contextlib.suppress(psutil.Error, OSError):
        if process.pid > 1 and process.is_running() and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


async def _readable(descriptor: int) -> None:
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
