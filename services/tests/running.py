"""Workloads as a user starts them: processes of their own, on real sockets."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from grpc_health.v1 import health_pb2_grpc

from mesh.tests.ports import ports
from services.stubs import echo_pb2_grpc, pspd_pb2_grpc

ROOT = Path(__file__).parents[2]

a_port = ports(22_000, 22_400)


class Started:
    """One process; `address` is what it said it listens on."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process = process
        self.address = address

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def ended(self, within_seconds: float = 10) -> tuple[int, str]:
        """Exit status, and what it wrote to stderr after its first line."""
        _, errors = self.process.communicate(timeout=within_seconds)
        return self.process.returncode, errors


@contextmanager
def started(module: str, *arguments: str, listen: str = "", cwd: Path = ROOT) -> Iterator[Started]:
    """`python -m services.<module>`, once it listens."""
    listen = listen or f"127.0.0.1:{a_port()}"
    process = spawn(module, "--listen", listen, *arguments, cwd=cwd)
    try:
        assert process.stderr
        line = process.stderr.readline()
        assert "listens on" in line, line + process.stderr.read()
        yield Started(process, line.split()[-1])
    finally:
        process.kill()
        with suppress(ValueError):  # its pipes are read and closed already
            process.communicate()


def stub_a(channel: Any) -> Any:
    return pspd_pb2_grpc.ServiceAStub(channel)  # type: ignore[no-untyped-call]


def stub_b(channel: Any) -> Any:
    return pspd_pb2_grpc.ServiceBStub(channel)  # type: ignore[no-untyped-call]


def stub_echo(channel: Any) -> Any:
    return echo_pb2_grpc.EchoStub(channel)  # type: ignore[no-untyped-call]


def health_stub(channel: Any) -> Any:
    return health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]


def spawn(module: str, *arguments: str, cwd: Path = ROOT) -> "subprocess.Popen[str]":
    environ = {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "PATH": ""}
    command = [sys.executable, "-m", f"services.{module}", *arguments]
    return subprocess.Popen(command, cwd=cwd, env=environ, stderr=subprocess.PIPE, text=True)
