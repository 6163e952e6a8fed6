"""The comparison's side of the load generator (loadtests/generator/master.py): start it, ask it, end it.

Rules: nothing waits without end; when this process dies, however, the generator reads the end of its stdin and goes too.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadtests.errors import GeneratorUnusable
from loadtests.model.cells import Cell, plain
from loadtests.ports import any_port

READY_SECONDS = 60.0
ANSWER_SECONDS = 60.0
END_SECONDS = 10.0


class Load:
    """A running generator. Every method raises GeneratorUnusable."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log
        self._unread = b""
        self.worker_pids: list[int] = []

    @property
    def pids(self) -> list[int]:
        """Of all its processes on this machine, the master's first."""
        return [self._process.pid, *self.worker_pids]

    def start(self, cell: Cell, host: str, *, sampled_percent: float) -> None:
        """Returns when all users of `cell` run."""
        self._asked({"do": "start", "cell": plain(cell), "host": host, "sampled_percent": sampled_percent})

    def begin(self) -> None:
        """From now on calls count."""
        self._asked({"do": "begin"})

    def end(self) -> list[dict[str, Any]]:
        """What was seen since `begin`, by each worker (Recorder.end)."""
        measured: list[dict[str, Any]] = self._asked({"do": "end"})["measured"]
        return measured

    def stop(self) -> None:
        self._asked({"do": "stop"})

    def ready(self, seconds: float) -> None:
        said = self._heard(seconds)
        self.worker_pids = said["pids"]

    def _asked(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        try:
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise GeneratorUnusable(f"the load generator has ended: {self._last_words()}") from error
        return self._heard(ANSWER_SECONDS)

    def _heard(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it was started with a pipe
        descriptor, deadline = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._unread:
            readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise GeneratorUnusable(f"the load generator did not answer within {seconds:g} s: {self._last_words()}")
            received = os.read(descriptor, 1 << 20)
            if not received:
                raise GeneratorUnusable(f"the load generator has ended: {self._last_words()}")
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        if "failed" in said:
            raise GeneratorUnusable(f"the load generator failed: {said['failed']}")
        return said

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


@contextlib.contextmanager
def generating(
    directory: Path, *, workers: int, remote_workers: int = 0, bind: str = "127.0.0.1", port: int = 0
) -> Iterator[Load]:
    """A generator of `workers` processes of this machine, and as many of others as `remote_workers` says; ended at the end.

    directory: where its log is written. port: where workers find the master; 0: any. Raises: GeneratorUnusable.
    """
    log = directory / "generator.log"
    command = [sys.executable, "-m", "loadtests.generator.master", "--workers", str(workers)]
    command += ["--remote-workers", str(remote_workers), "--bind", bind, "--port", str(port or any_port())]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}  # a hostile services/ where we were started is not imported
    with log.open("ab") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us, who end it in order
        )
    load = Load(process, log)
    try:
        load.ready(READY_SECONDS if not remote_workers else 660.0)
        yield load
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None  # noqa: S101 - it was started with a pipe
    assert process.stdout is not None  # noqa: S101
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END_SECONDS)
    process.stdout.close()
