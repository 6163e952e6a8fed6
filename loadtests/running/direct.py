"""The services without any Envoy: each a process of its own on a port of loopback, for as long as a comparison needs them."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtests.errors import PathUnusable
from loadtests.ports import any_port
from loadtests.running.resources import Watched, watched
from loadtests.users.journeys import SERVICES
from services.address import Address, AddressUnusable, claimed

MODULES = {
    "a": "services.a",
    "b": "services.b",
    "echo": "services.echo",
    "a-rest": "services.a_rest",
    "b-rest": "services.b_rest",
    "echo-rest": "services.echo_rest",
}
PORTS = {
    "a": 50_051,
    "b": 50_052,
    "echo": 50_053,
    "a-rest": 50_061,
    "b-rest": 50_062,
    "echo-rest": 50_063,
}  # of services that run alone, by the contract
START_SECONDS = 15.0
END_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Direct:
    ports: dict[str, int]
    pids: dict[str, int]

    def host(self, path: str) -> str:
        """As users of `path` ("direct-grpc", "direct-rest") take it."""
        suffix = "-rest" if path == "direct-rest" else ""
        return ",".join(f"http://127.0.0.1:{self.ports[service + suffix]}" for service in SERVICES.values())

    def watched(self) -> list[Watched]:
        """Raises: Vanished."""
        return [watched(name, "workload", pid) for name, pid in self.pids.items()]


@contextlib.contextmanager
def direct_services(logs: Path, *, usual_ports: bool = False) -> Iterator[Direct]:
    """All of MODULES, started and answering; ended at the end.

    usual_ports: those of the contract (50051 …) where they are free. Raises: PathUnusable.
    """
    with contextlib.ExitStack() as stack:
        ports, pids = {}, {}
        for name, module in MODULES.items():
            port = PORTS[name] if usual_ports and _is_free(PORTS[name]) else any_port()
            log = stack.enter_context((logs / f"direct-{name}.log").open("ab"))
            command = [sys.executable, "-m", module, "--listen", f"127.0.0.1:{port}"]
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(_end, process)
            ports[name], pids[name] = port, process.pid
            _await(name, port, process, logs)
        yield Direct(ports, pids)


def _await(name: str, port: int, process: "subprocess.Popen[bytes]", logs: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise PathUnusable(f"{name} did not start on port {port}; see {logs / f'direct-{name}.log'}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END_SECONDS)


def _is_free(port: int) -> bool:
    try:
        claimed(Address(host="127.0.0.1", port=port))
    except AddressUnusable:
        return False
    return True
