"""All processes of a mesh, kept: what should run is made to run, and nothing else.

Rules: what does run is found, not remembered; a process is started only when nothing of its name is left; the edge ends first
and begins last, so that a caller never meets half a mesh.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Coroutine
from typing import Any

import psutil

from mesh.substrates.laptop.draining import drain
from mesh.substrates.laptop.ending import clear, end, end_others
from mesh.substrates.laptop.nodes import Nodes
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.processes import Found, Spec, cut_log, find, remains, start
from mesh.substrates.laptop.runner import Runner
from mesh.substrates.laptop.specs import STAGES
from mesh.substrates.laptop.state import ProcessState

SUPERVISOR = "supervisor"
_STAGE_SECONDS = 15.0  # the edge waits so long for what it leads to


class Fleet:
    def __init__(
        self,
        places: Places,
        nodes: Nodes,
        is_ready: Callable[[Spec], Coroutine[Any, Any, bool]],
        changed: Callable[[], None],
        acknowledged: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        """changed: called after every change of a state. acknowledged: returns when the Envoys run the newest topology."""
        self._places = places
        self._nodes = nodes
        self._is_ready = is_ready
        self._changed = changed
        self._acknowledged = acknowledged
        self._runners: dict[str, Runner] = {}

    def states(self) -> tuple[ProcessState, ...]:
        return tuple(
            ProcessState(
                runner.spec.name,
                runner.spec.kind,
                runner.process.pid if runner.process else None,
                runner.state,
                runner.spec.ports,
                runner.restarts,
                runner.problem,
            )
            for runner in self._runners.values()
        )

    async def keep(self, spec: Spec) -> Runner:
        """The runner of `spec`; a process that was started from it and still runs is adopted."""
        if spec.name not in self._runners:
            left = self._left().get(spec.name)
            if left and left.spec != spec.digest:
                await self._end(left)
                left = None
            if left is None:
                await clear(self._places.run, spec.name)
            self._runners[spec.name] = Runner(
                spec, self._places.run, self._begin, self._is_ready, self._changed, left.process if left else None
            )
        return self._runners[spec.name]

    async def bring_about(self, wanted: list[Spec]) -> None:
        """Let exactly `wanted` run. Raises: OSError."""
        left = self._left()
        await self._retire({*self._runners, *left} - {spec.name for spec in wanted}, left)
        for stage in sorted(set(STAGES.values()), reverse=True):
            changed = [spec for spec in wanted if STAGES[spec.kind] == stage and self._differs(spec, left)]
            await asyncio.gather(*(self._stop(spec.name, left) for spec in changed))
        for stage in sorted(set(STAGES.values())):
            begun = [spec for spec in wanted if STAGES[spec.kind] == stage]
            if stage == STAGES["edge"] and any(spec.name not in self._runners for spec in begun):
                led_to = [self._runners[spec.name] for spec in wanted if STAGES[spec.kind] < stage]
                await asyncio.gather(*(runner.until_ready(_STAGE_SECONDS) for runner in led_to))
            for runner, spec in zip(await asyncio.gather(*map(self.keep, begun)), begun, strict=True):
                runner.spec = spec  # a sidecar's port changes without a new start

    async def stop(self) -> None:
        """The other way round: no new calls, the calls under way, their record, and the control plane last."""
        stages: dict[int, list[Runner]] = {}
        for runner in self._runners.values():
            stages.setdefault(STAGES[runner.spec.kind], []).append(runner)
        for stage in sorted(stages, reverse=True):
            if stage == STAGES["edge"]:
                await asyncio.gather(*(drain(runner.spec) for runner in stages[stage]))
            await asyncio.gather(*(runner.stop() for runner in stages[stage]))
        await end_others(remains(self._places.run), 5.0)

    def cut_logs(self) -> None:
        for runner in self._runners.values():
            with contextlib.suppress(OSError):  # the disk is full: later
                cut_log(runner.spec.log)

    async def _retire(self, names: set[str], left: dict[str, Found]) -> None:
        """End what the topology no longer has, without cutting a call: no new ones come once the edge knows; a workload
        finishes those under way before it ends, and its sidecar stays until then."""
        if not names:
            return
        await self._acknowledged()
        kinds = {name: left[name].kind if name in left else self._runners[name].spec.kind for name in names}
        for stage in sorted({STAGES.get(kind, 0) for kind in kinds.values()}):
            await asyncio.gather(*(self._stop(name, left) for name in names if STAGES.get(kinds[name], 0) == stage))
        for name in names:
            shutil.rmtree(self._places.node(name), ignore_errors=True)

    async def _stop(self, name: str, left: dict[str, Found]) -> None:
        runner = self._runners.pop(name, None)
        if runner:
            if runner.spec.kind == "edge":
                await drain(runner.spec)
            await runner.stop()
        elif name in left:
            await self._end(left[name])

    async def _end(self, left: Found) -> None:
        """End a process that nobody keeps."""
        await end(left.process, 5.0)
        await clear(self._places.run, left.name)

    def _differs(self, spec: Spec, left: dict[str, Found]) -> bool:
        runner = self._runners.get(spec.name)
        if runner:
            return runner.spec.digest != spec.digest
        return spec.name in left and left[spec.name].spec != spec.digest

    def _left(self) -> dict[str, Found]:
        """What runs, by name, whoever started it."""
        return {found.name: found for found in find(self._places.run) if found.name != SUPERVISOR}

    def _begin(self, spec: Spec) -> psutil.Process:
        self._nodes.before_start(spec)
        return start(spec, self._places.name, self._places.run)
