"""Whole meshes for tests: real processes, started and ended by the command that users type."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from mesh.substrates.laptop.places import places
from mesh.substrates.laptop.processes import find

Result = TypeVar("Result")

# below the ports that the kernel gives to clients (32768 and up), and away from a mesh that somebody runs beside the tests
_APART = 600  # the sidecars of one mesh, with those of echo, are on 15100 to 15609; the edge is never on 10080, which browsers refuse
_CHOICE = range(1_000, 17_000, _APART)
_OFFSETS = itertools.cycle(random.sample(_CHOICE, len(_CHOICE)))  # in any order: other test runs choose too


@dataclass
class Mesh:
    """A mesh that a test made, and the ways in which its users come."""

    name: str
    home: Path
    offset: int
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def grpc(self) -> int:
        return 8080 + self.offset

    @property
    def rest(self) -> int:
        return 8081 + self.offset

    @property
    def admin(self) -> int:
        return 9901 + self.offset

    @property
    def run(self) -> Path:
        return places(self.home, self.name).run

    def meshlog(self, *arguments: str, check: bool = True, seconds: float = 90) -> subprocess.CompletedProcess[str]:
        """Run the command as a user would."""
        command = [sys.executable, "-m", "mesh.cli.main", arguments[0], "--name", self.name, *arguments[1:]]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, timeout=seconds)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def up(self, *arguments: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
        return self.meshlog("up", "--detach", "--port-offset", str(self.offset), *arguments, **kwargs)

    def down(self) -> None:
        self.meshlog("down")

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.meshlog("status", "--json", check=False).stdout)
        return status

    def events(self, *arguments: str) -> list[dict[str, Any]]:
        lines = self.meshlog("events", "--json", *arguments).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def calls(self, kind: str = "CallAnswered") -> list[dict[str, Any]]:
        """The data of all journalled events of one type."""
        return [event["data"] for event in self.events("--stream", "calls") if event["type"] == kind]

    def curl(self, path: str, *arguments: str, port: int | None = None) -> subprocess.CompletedProcess[str]:
        url = f"http://localhost:{port or self.grpc}{path}"
        return subprocess.run(
            ["curl", "-sS", "--max-time", "30", *arguments, url], capture_output=True, text=True, timeout=60
        )

    def pid(self, process: str) -> int:
        return next(found.process.pid for found in find(self.run) if found.name == process)

    def kill(self, process: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to one process of this mesh; its pid."""
        pid = self.pid(process)
        os.kill(pid, number)
        return pid

    def processes(self) -> list[psutil.Process]:
        return [found.process for found in find(self.run)]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MESHLOG_"))}
        return {**kept, "MESHLOG_HOME": str(self.home), **self.environment}


def small_topology(service: str = "a") -> str:
    """The default topology file with one service, of one version: for tests that start many meshes."""
    text = (Path(__file__).parents[2] / "manifests" / "topology.toml").read_text()
    tables = re.split(r"\n(?=\[)", text)
    ours = [f"[services.{service}]", f"[services.{service}.versions.v1]", f"[on.laptop.services.{service}]"]
    others = r"\[+(on\.laptop\.)?services\."
    kept = [
        t for t in tables if not re.match(others, t) or t.split("\n")[0].startswith((*ours, f"[[services.{service}."))
    ]
    return re.sub(r"^weights = .*$", "", "\n".join(kept), flags=re.MULTILINE)


@contextlib.contextmanager
def a_mesh(name: str = "test", **environment: str) -> Iterator[Mesh]:
    """A mesh that is not up yet; whatever it has started is ended at the end, and its home removed."""
    home = Path(tempfile.mkdtemp(prefix="meshlog-"))  # short, because of unix sockets
    mesh = Mesh(name, home, next(filter(_is_free, _OFFSETS)), environment)
    try:
        yield mesh
    finally:
        mesh.meshlog("down", check=False)
        for process in mesh.processes():
            process.kill()
        shutil.rmtree(home, ignore_errors=True)


def _is_free(offset: int) -> bool:
    """Somebody else's tests may run beside ours."""
    for port in (8080, 8081, 9901, 4317, 4318, 15100, 15200, 15300, 15400, 15500, 15600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port + offset)) == 0:
                return False
    return True


def until(ask: Callable[[], Result], seconds: float = 15.0, every: float = 0.1) -> Result:
    """What `ask` returns once that is true; fails with the last answer after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {answer!r} after {seconds} s")
        time.sleep(every)
    return answer


async def until_async(ask: Callable[[], Result], seconds: float = 15.0, every: float = 0.1) -> Result:
    """As `until`, while other tasks of the test go on."""
    return await asyncio.to_thread(until, ask, seconds, every)
