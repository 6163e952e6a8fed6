"""What processes use while a window is open: CPU time and memory, and what the rest of the machine took meanwhile.

Rules: CPU seconds are user and system time of the process itself, from the kernel's clock ticks (10 ms), so short windows
are coarse; memory is PSS (shared pages are divided by who shares them), which may be added up. A process that went away, or
was another one under its old name, spoils the window.
"""

from collections.abc import Callable
from dataclasses import dataclass

import psutil

from loadtests.model.measurements import ProcessUse


class Vanished(Exception):
    """A process that was watched has ended."""


@dataclass(frozen=True, slots=True)
class Watched:
    name: str
    kind: str
    process: psutil.Process


def watched(name: str, kind: str, pid: int) -> Watched:
    """Raises: Vanished."""
    try:
        return Watched(name, kind, psutil.Process(pid))
    except psutil.NoSuchProcess:
        raise Vanished(f"{name} (pid {pid}) has ended") from None


class Roster:
    """Processes to watch, looked up again only when one of them is gone: looking takes time that the measured need."""

    def __init__(self, look: Callable[[], list[Watched]]) -> None:
        self._look = look
        self._known: list[Watched] = []

    def __call__(self) -> list[Watched]:
        """Raises: what `look` raises."""
        if not self._known or not all(one.process.is_running() for one in self._known):
            self._known = self._look()
        return self._known


class Window:
    """CPU time from the moment it is made until `closed`."""

    def __init__(self, processes: list[Watched]) -> None:
        self._processes = processes
        self._begun = _machine_cpu_seconds()
        self._used = [_cpu_seconds(one) for one in processes]

    def closed(self) -> tuple[tuple[ProcessUse, ...], float]:
        """What each process used, and CPU seconds that went to others. Raises: Vanished."""
        used = [_cpu_seconds(one) - before for one, before in zip(self._processes, self._used, strict=True)]
        others = max(0.0, _machine_cpu_seconds() - self._begun - sum(used))
        uses = tuple(
            ProcessUse(one.name, one.kind, seconds, _pss_bytes(one))
            for one, seconds in zip(self._processes, used, strict=True)
        )
        return uses, others


def _cpu_seconds(one: Watched) -> float:
    try:
        used = one.process.cpu_times()
    except psutil.NoSuchProcess:
        raise Vanished(f"{one.name} (pid {one.process.pid}) ended during the run") from None
    return float(used.user + used.system)


def _pss_bytes(one: Watched) -> int:
    try:
        return int(one.process.memory_full_info().pss)  # smaps_rollup: a millisecond or two
    except psutil.NoSuchProcess:
        raise Vanished(f"{one.name} (pid {one.process.pid}) ended during the run") from None
    except (psutil.AccessDenied, AttributeError):  # not ours to look into, or not Linux
        return int(one.process.memory_info().rss)


def _machine_cpu_seconds() -> float:
    """Of all cores, whatever was done on them; what a hypervisor took for others counts as well."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
