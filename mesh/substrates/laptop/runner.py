"""Keeps one process running: adopts or starts it, waits until it is ready, starts it again with back-off when it dies."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import psutil

from mesh.substrates.laptop.processes import Found, Spec, gone, kill, terminate

_POLL_SECONDS = (
    0.05  # a death is seen this much later at most; waiting for a pid that is not our child has no better way
)
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 5.0
_STEADY_SECONDS = 10.0  # after so long a life the next death starts at the first back-off again
_PROBE_AGAIN_SECONDS = 2.0


class Runner:
    """One process, kept.

    states: "starting" (not ready yet), "ready", "unwell" (runs, but does not answer), "waiting" (dead, to be started after
    the back-off), "stopped".
    """

    def __init__(
        self,
        spec: Spec,
        begin: Callable[[Spec], psutil.Process],
        is_ready: Callable[[Spec], Awaitable[bool]],
        changed: Callable[[], None],
        adopted: Found | None = None,
    ) -> None:
        """begin: prepares and starts the process; changed: called after every change of state."""
        self.spec = spec
        self.state = "starting"
        self.restarts = 0
        self.problem = ""  # why it could not be started last time
        self.process: psutil.Process | None = adopted.process if adopted else None
        self._begin = begin
        self._is_ready = is_ready
        self._changed = changed
        self._ready = asyncio.Event()
        self._task = asyncio.create_task(self._keep(), name=f"keep {spec.name}")

    async def until_ready(self, seconds: float) -> bool:
        """True once the process is ready; False if that takes longer than `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), seconds)
        return self._ready.is_set()

    async def stop(self) -> None:
        """End the process: SIGTERM, and after its `stop_seconds` SIGKILL."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self.process:
            await end(self.process, self.spec.stop_seconds)
        self._set("stopped")

    async def _keep(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            born = time.monotonic()
            if self.process is None:
                try:
                    self.process, self.problem = self._begin(self.spec), ""
                except OSError as error:
                    self.problem = f"cannot start {self.spec.argv[0]}: {error.strerror or error}"
            self._set("starting")
            if self.process:
                await self._watch(self.process)
                self.process = None
            self._set("waiting")
            backoff = _FIRST_BACKOFF_SECONDS if time.monotonic() - born > _STEADY_SECONDS else backoff
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)
            self.restarts += 1

    async def _watch(self, process: psutil.Process) -> None:
        """Until it has ended. Its state follows what it answers."""
        next_probe = 0.0
        while not gone(process):
            if time.monotonic() >= next_probe:
                if await self._is_ready(self.spec):
                    self._set("ready")
                elif self.state == "ready":
                    self._set("unwell")
                next_probe = time.monotonic() + (_PROBE_AGAIN_SECONDS if self.state == "ready" else _POLL_SECONDS)
            await asyncio.sleep(_POLL_SECONDS)

    def _set(self, state: str) -> None:
        if state == "ready":
            self._ready.set()
        else:
            self._ready.clear()
        if state != self.state:
            self.state = state
            self._changed()


async def end(process: psutil.Process, seconds: float) -> None:
    """End a process and what it started: SIGTERM, and after `seconds` SIGKILL."""
    terminate(process)
    deadline = time.monotonic() + seconds
    while not gone(process):
        if time.monotonic() > deadline:
            kill(process)
        await asyncio.sleep(_POLL_SECONDS / 2)
