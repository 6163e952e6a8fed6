"""Processes of a mesh: started, and found again.

Rules: a process is known by what it carries in its environment (MESHLOG_RUN, MESHLOG_PROCESS, MESHLOG_SPEC), so there is no
table of pids that could be stale: who comes after a killed supervisor finds what it left. Every process leads a session of
its own, prints to a file, and outlives its parent. How one is ended stands in ending.py.
"""

import contextlib
import hashlib
import os
import resource
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_LOG_BYTES = 8 * 1024 * 1024  # a process's log is begun anew above this, one older part is kept


@dataclass(frozen=True, slots=True)
class Spec:
    """How to start one process, and how to know that it is ready."""

    name: str
    kind: str  # "control-plane", "sink", "workload", "sidecar", "edge", "reflection", "journal", "supervisor"
    argv: tuple[str, ...]
    cwd: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)  # what configures it
    surroundings: Mapping[str, str] = field(default_factory=dict)  # PATH and the like; nothing else is inherited
    files: Mapping[str, str] = field(default_factory=dict)  # what it reads at its start, written into `cwd` before
    ports: tuple[int, ...] = ()
    stop_seconds: float = 5.0  # between SIGTERM and SIGKILL

    @property
    def digest(self) -> str:
        """What it was started from. Not its surroundings: another shell's PATH is no reason to start anything again."""
        configured = sorted({**self.environment, **self.files}.items())
        said = "\0".join([*self.argv, *(f"{name}={value}" for name, value in configured)])
        return hashlib.sha256(said.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Found:
    """A process of a mesh that is running now."""

    name: str
    kind: str
    ports: tuple[int, ...]
    spec: str  # digest of the Spec it was started from
    process: psutil.Process


def start(spec: Spec, mesh: str, run: Path) -> psutil.Process:
    """Start the process of `spec`. Raises: OSError."""
    spec.cwd.mkdir(mode=0o700, parents=True, exist_ok=True)
    _turn_over(spec.log)
    marks = {
        "MESHLOG_MESH": mesh,
        "MESHLOG_RUN": str(run),
        "MESHLOG_PROCESS": spec.name,
        "MESHLOG_KIND": spec.kind,
        "MESHLOG_PORTS": " ".join(map(str, spec.ports)),
        "MESHLOG_SPEC": spec.digest,
    }
    with spec.log.open("ab") as log:
        child = subprocess.Popen(
            spec.argv,
            cwd=spec.cwd,
            env={**spec.surroundings, **spec.environment, **marks},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C in the terminal is for the supervisor, which ends the others in order
        )
    child.returncode = 0  # not ours to wait for by Popen: ending.py reaps it, and Popen must not warn
    return psutil.Process(child.pid)


def find(run: Path) -> list[Found]:
    """Every running process of the mesh whose run directory is `run`, one of a name; what workloads started is not among them."""
    found: dict[str, Found] = {}
    for process, marks in _marked(run):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if os.getsid(process.pid) == process.pid:
                name = marks.get("MESHLOG_PROCESS", "")
                ports = tuple(int(port) for port in marks.get("MESHLOG_PORTS", "").split() if port.isdigit())
                found.setdefault(
                    name, Found(name, marks.get("MESHLOG_KIND", ""), ports, marks.get("MESHLOG_SPEC", ""), process)
                )
    return list(found.values())


def remains(run: Path, name: str | None = None) -> list[psutil.Process]:
    """Every running process that came from the mesh at all, or from its process `name`: those that workloads started too."""
    return [process for process, marks in _marked(run) if name in (None, marks.get("MESHLOG_PROCESS"))]


def _marked(run: Path) -> list[tuple[psutil.Process, dict[str, str]]]:
    """Processes with the mesh's mark in their environment, the oldest first; never the one that asks, nor a zombie."""
    mark = b"MESHLOG_RUN=" + os.fsencode(run)
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):  # it has ended meanwhile, or is somebody else's
            content = Path(f"/proc/{pid}/environ").read_bytes()
            if mark not in content or mark not in (entries := content.split(b"\0")) or pid == os.getpid():
                continue
            if Path(f"/proc/{pid}").stat().st_uid == os.getuid():
                named = (os.fsdecode(entry).partition("=") for entry in entries)
                found.append((psutil.Process(pid), {key: value for key, _, value in named}))
    return sorted(found, key=lambda one: one[0].create_time())


def raise_file_limit() -> None:
    """Let this process, and all that it starts, have as many files as it may: 3,200 clients are 3,200 files and more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1_048_576 if hard == resource.RLIM_INFINITY else min(hard, 1_048_576)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def cut_log(log: Path) -> None:
    """Begin a log that has grown long anew, under the feet of the process that appends to it; one older part is kept."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def _turn_over(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
