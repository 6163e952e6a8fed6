"""Keeps one process running: adopts or starts it, waits until it is ready, starts it again with back-off when it dies."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil

from mesh.substrates.laptop.ending import clear, end, ended
from mesh.substrates.laptop.processes import Spec

_PROBE_SECONDS = 0.05  # between two questions while it starts
_PROBE_AGAIN_SECONDS = 2.0  # once it is ready; its death is noticed at once
_SLOW_START_SECONDS = 5.0  # what is not ready by then is asked less often
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 5.0
_STEADY_SECONDS = 10.0  # after so long a life the next death starts at the first back-off again
_LAST_WORDS = 400  # characters
_LAST_BYTES = 65_536  # of a log, where they are looked for
_ASSERT = "assert failure"  # Envoy's, with the reason; a backtrace of a hundred lines follows


class Runner:
    """One process, kept.

    states: "starting" (not ready yet), "ready", "unwell" (runs, but does not answer), "waiting" (dead, to be started after
    the back-off), "stopped".
    """

    def __init__(
        self,
        spec: Spec,
        run: Path,
        begin: Callable[[Spec], psutil.Process],
        is_ready: Callable[[Spec], Coroutine[Any, Any, bool]],
        changed: Callable[[], None],
        adopted: psutil.Process | None = None,
    ) -> None:
        """begin: prepares and starts the process; changed: called after every change of state."""
        self.spec = spec
        self.state = "starting"
        self.restarts = 0
        self.problem = ""  # why it could not be started, or how it ended last time; empty again once it is ready
        self.process = adopted
        self._run = run
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
        await asyncio.wait([self._task])
        if self.process:
            await end(self.process, self.spec.stop_seconds)
            await clear(self._run, self.spec.name)
            self.process = None
        self._set("stopped")

    async def _keep(self) -> None:
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            born = time.monotonic()
            if self.process is None:
                try:
                    self.process = self._begin(self.spec)
                except Exception as error:  # a full disk, a missing program: it is told, and tried again
                    self.problem = f"cannot be started: {_said(error)}"
            self._set("starting")
            if self.process:
                how = await self._watch(self.process)
                self.problem = ": ".join(part for part in (how, last_line(self.spec.log)) if part)
                await clear(self._run, self.spec.name)
                self.process = None
            self._set("waiting")
            backoff = _FIRST_BACKOFF_SECONDS if time.monotonic() - born > _STEADY_SECONDS else backoff
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)
            self.restarts += 1

    async def _watch(self, process: psutil.Process) -> str:
        """Until it has ended: how. Its state follows what it answers."""
        begun = time.monotonic()
        end_ = asyncio.create_task(ended(process))
        try:
            while not end_.done():
                probe = asyncio.create_task(self._is_ready(self.spec))
                await asyncio.wait((end_, probe), return_when=asyncio.FIRST_COMPLETED)
                if not probe.done():
                    probe.cancel()
                    await asyncio.wait((probe,))
                    continue
                if not probe.exception() and probe.result():
                    self.problem = ""
                    self._set("ready")
                elif self.state == "ready":
                    self._set("unwell")
                fresh = self.state == "starting" and time.monotonic() - begun < _SLOW_START_SECONDS
                quiet = self.state == "ready" or not fresh
                await asyncio.wait((end_,), timeout=_PROBE_AGAIN_SECONDS if quiet else _PROBE_SECONDS)
            return end_.result()
        finally:
            end_.cancel()

    def _set(self, state: str) -> None:
        if state == "ready":
            self._ready.set()
        else:
            self._ready.clear()
        if state != self.state:
            self.state = state
            self._changed()


def last_line(log: Path) -> str:
    """What a process said last, or what it failed of if a backtrace follows; empty if it said nothing."""
    with contextlib.suppress(OSError):
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LAST_BYTES))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if _ASSERT in line] if lines and "backtrace" in lines[-1].lower() else lines
        for line in (telling or lines)[-1:]:
            return line.strip()[:_LAST_WORDS]
    return ""


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f' ({error.filename})' if error.filename else ''}"
    return str(error) or type(error).__name__
