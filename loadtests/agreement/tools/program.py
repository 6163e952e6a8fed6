"""Run a program that is not ours to its end: within a time limit, and knowing what it cost.

Rules: it is ended with us, whatever happens; it sees no settings from the environment that are meant for its users. Not
for a process that gevent has patched, which takes the status of children away.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from loadtests.agreement.tools.result import Load, NotInstalled, ToolFailed

# no call is traced: version, trace, parent, and flags that say "not sampled"
UNSAMPLED: Final = "00-00000000000000000000000000000001-0000000000000001-00"
STARTING_SECONDS: Final = 30.0  # and ending: what a run may take besides its load and a last call's timeout
CONNECT_SECONDS: Final = 5.0
STDERR_SAID: Final = 1_000  # characters of it that an error repeats


@dataclass(frozen=True, slots=True)
class Ended:
    status: int  # negative: the signal that ended it
    stdout: str
    stderr: str
    cpu_seconds: float
    machine_busy: float  # share of all cores that anybody used while it ran


def found(name: str, source: str) -> str:
    """Where the program is. Raises: NotInstalled."""
    if path := shutil.which(name):
        return path
    raise NotInstalled(name, source)


def version_of(path: str) -> str:
    """What the program prints when it is asked its version."""
    asked = run([path, "--version"], limit_seconds=10)
    return asked.stdout + asked.stderr


def run_load(load: Load, command: Callable[[float], Sequence[str]], good: tuple[int, ...] = (0,)) -> Ended:
    """Run the tool for the warm-up, whose results are thrown away, then for the load. command: of so many seconds.

    Raises: ToolFailed.
    """
    _reach(load.host)
    beyond_seconds = load.timeout_seconds + STARTING_SECONDS
    if load.warmup_seconds:
        run(command(load.warmup_seconds), limit_seconds=load.warmup_seconds + beyond_seconds, good=good)
    return run(command(load.seconds), limit_seconds=load.seconds + beyond_seconds, good=good)


def _reach(host: str) -> None:
    """That somebody listens: no tool is sent to a host that is not there, where most would call as fast as they can."""
    name, _, port = host.rpartition(":")
    try:
        socket.create_connection((name, int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ToolFailed(f"nobody answers at {host!r} ({error}); is the mesh up? `meshlog status` says so") from None


def run(command: Sequence[str], *, limit_seconds: float, good: tuple[int, ...] | None = None) -> Ended:
    """Run `command` to its end. good: what it may end with; None: anything. Raises: ToolFailed."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        before = _cpu()
        with _started(command, stdout.fileno(), stderr.fileno()) as process:
            ended = _ends_within(process.pid, limit_seconds)
            if not ended:
                os.kill(process.pid, signal.SIGKILL)
            # not Popen.wait, which throws away what the child used
            _, wait_status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(wait_status)
        done = Ended(
            process.returncode,
            _content(stdout.fileno()),
            _content(stderr.fileno()),
            usage.ru_utime + usage.ru_stime,
            _busy(before, _cpu()),
        )
    if not ended:
        raise ToolFailed(f"{_named(command)} was still running after {limit_seconds:g} s and was ended; {_said(done)}")
    if good is not None and done.status not in good:
        raise ToolFailed(f"{_named(command)} ended with {done.status}; {_said(done)}")
    return done


@contextmanager
def _started(command: Sequence[str], stdout: int, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("K6_")}
    process = subprocess.Popen(
        command,
        env=kept,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,  # a Ctrl-C is ours to answer
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()


def _ends_within(pid: int, seconds: float) -> bool:
    handle = os.pidfd_open(pid)
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def _cpu() -> tuple[float, float]:
    """Seconds of all cores since boot: busy, and all."""
    times = psutil.cpu_times()
    idle = times.idle + times.iowait
    busy = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
    return busy, busy + idle


def _busy(before: tuple[float, float], after: tuple[float, float]) -> float:
    busy, whole = (later - earlier for earlier, later in zip(before, after, strict=True))
    return min(busy / whole, 1.0) if whole > 0 else 0.0  # differences of large numbers: a hair over 1 is rounding


def _content(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode(errors="replace")


def _named(command: Sequence[str]) -> str:
    return Path(command[0]).name


def _said(ended: Ended) -> str:
    said = (ended.stderr.strip() or ended.stdout.strip())[-STDERR_SAID:]
    return f"it said: {said}" if said else "it said nothing"
