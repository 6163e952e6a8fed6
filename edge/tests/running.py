"""A real Envoy with the edge's own resources, the applications behind it, and curl in front of it."""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.message import Message

from edge.tests.given import POSITION, ROOT, Ports, static_bootstrap
from mesh.substrates.laptop.specs import envoy_binary
from mesh.topology import Topology
from mesh.xds.messages import pool


def validated(built: Message, directory: Path) -> subprocess.CompletedProcess[str]:
    """What `envoy --mode validate` says of a bootstrap."""
    (directory / "spool").mkdir(exist_ok=True)
    file = _written(built, directory)
    command = [str(envoy_binary()), "--mode", "validate", "-c", file.name, "--disable-hot-restart"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True)


@dataclass
class RunningEdge:
    ports: Ports
    directory: Path
    process: subprocess.Popen[bytes]

    def curl(self, path: str, *arguments: str, port: int | None = None) -> "Curled":
        """Ask as a user would. The path of the edge is chosen by the port."""
        return curl(f"http://localhost:{port or self.ports.grpc}{path}", *arguments)

    def stats(self, containing: str) -> dict[str, int]:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.ports.admin}/stats?filter={containing}", timeout=5
        ) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(": ", 1) for line in lines)
        return {name: int(value) for name, value in pairs if value.isdigit()}

    def log(self) -> str:
        return (self.directory / "envoy.log").read_text()


@dataclass(frozen=True, slots=True)
class Curled:
    exit_status: int
    status: int
    headers: dict[str, str]
    body: str


def curl(url: str, *arguments: str) -> Curled:
    with tempfile.TemporaryDirectory() as directory:
        body, head = Path(directory, "body"), Path(directory, "head")
        command = ["curl", "-sS", "--max-time", "20", "-o", str(body), "-D", str(head), *arguments, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        heads = (
            head.read_bytes().decode("latin-1").replace("\r\n", "\n").strip().split("\n\n") if head.exists() else [""]
        )
        lines = heads[-1].splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        status = int(lines[0].split()[1]) if lines else 0
        return Curled(done.returncode, status, headers, body.read_text() if body.exists() else "")


@contextmanager
def running_edge(topology: Topology, *, position: int = POSITION) -> Iterator[RunningEdge]:
    """The edge of `topology`, ready; gone when the block ends."""
    assert topology.edge is not None
    ports = Ports(topology.edge.grpc_port)
    directory = Path(tempfile.mkdtemp(prefix="edge-"))
    (directory / "spool").mkdir()
    _written(static_bootstrap(topology, position=position), directory)
    command = [
        str(envoy_binary()),
        "-c",
        "bootstrap.json",
        "--disable-hot-restart",
        "--concurrency",
        "2",
        "-l",
        "warning",
    ]
    with (directory / "envoy.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    edge = RunningEdge(ports, directory, process)
    try:
        until(lambda: _ready(edge), saying=edge.log)
        yield edge
    finally:
        end(process)
        shutil.rmtree(directory, ignore_errors=True)


def end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(holds: Callable[[], bool], *, seconds: float = 15, saying: Callable[[], str] = lambda: "") -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"it never came about within {seconds} s: {saying()}")
        time.sleep(0.02)


def _ready(edge: RunningEdge) -> bool:
    if edge.process.poll() is not None:
        raise AssertionError(f"Envoy ended: {edge.log()}")
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{edge.ports.admin}/ready", timeout=1) as answer:
        return bool(answer.status == 200)
    return False


def _written(built: Message, directory: Path) -> Path:
    file = directory / "bootstrap.json"
    file.write_text(json_format.MessageToJson(built, descriptor_pool=pool()))
    return file


@contextmanager
def misbehaving(grpc_port: int, rest_port: int, name: str = "X") -> Iterator[subprocess.Popen[bytes]]:
    """Applications on both ports; see misbehaving.py."""
    command = [sys.executable, "-m", "edge.tests.misbehaving", str(grpc_port), str(rest_port), name]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        end(process)


def until_listening(place: str, *, seconds: float = 15) -> None:
    host, _, port = place.rpartition(":")

    def listens() -> bool:
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return True
        return False

    until(listens, seconds=seconds, saying=lambda: f"nobody listens at {place}")
