"""Processes of a mesh: started, found again, ended.

Rules: a process is known by what it carries in its environment (MESHLOG_RUN, MESHLOG_PROCESS, MESHLOG_SPEC), so there is no
table of pids that could be stale: who comes after a killed supervisor finds what it left. Every process leads a session of
its own, prints to a file, and outlives its parent.
"""

import contextlib
import hashlib
import os
import resource
import signal
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
    ports: tuple[int, ...] = ()
    stop_seconds: float = 5.0  # between SIGTERM and SIGKILL

    @property
    def digest(self) -> str:
        """What it was started from. Not its surroundings: another shell's PATH is no reason to start anything again."""
        said = "\0".join([*self.argv, *(f"{k}={v}" for k, v in sorted(self.environment.items()))])
        return hashlib.sha256(said.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Found:
    """A process of a mesh that is running now."""

    name: str
    spec: str  # digest of the Spec it was started from
    process: psutil.Process


def start(spec: Spec, mesh: str, run: Path) -> psutil.Process:
    """Start the process of `spec`. Raises: OSError."""
    spec.cwd.mkdir(mode=0o700, parents=True, exist_ok=True)
    _turn_over(spec.log)
    marks = {"MESHLOG_MESH": mesh, "MESHLOG_RUN": str(run), "MESHLOG_PROCESS": spec.name, "MESHLOG_SPEC": spec.digest}
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
    child.returncode = 0  # not ours to wait for by Popen: `gone` reaps it, and Popen must not warn
    return psutil.Process(child.pid)


def find(run: Path) -> list[Found]:
    """Every running process of the mesh whose run directory is `run`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.uids().real != os.getuid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            environment = process.environ()
            leads = os.getsid(process.pid) == process.pid  # and is not a child that a workload started
            if environment.get("MESHLOG_RUN") == str(run) and leads:
                found.append(
                    Found(environment.get("MESHLOG_PROCESS", ""), environment.get("MESHLOG_SPEC", ""), process)
                )
    return found


def gone(process: psutil.Process) -> bool:
    """True if the process has ended; a child of ours is reaped on the way."""
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(process.pid, os.WNOHANG)[0]:
            return True
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def terminate(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.terminate()


def kill(process: psutil.Process) -> None:
    """SIGKILL to the process and to all that it started."""
    with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
        if process.is_running():  # psutil compares the time of start: a reused pid is not ours
            os.killpg(process.pid, signal.SIGKILL)


def raise_file_limit() -> None:
    """Let this process, and all that it starts, have as many files as it may: 3,200 clients are 3,200 files and more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1_048_576 if hard == resource.RLIM_INFINITY else min(hard, 1_048_576)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _turn_over(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
