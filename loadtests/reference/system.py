"""The reference as a whole: its six processes started, known by name, and ended.

    with running(prepare(cache), logs) as reference:
        httpx.get(f"http://{reference.grpc}/a/hello?name=pspd")

Rules: every process listens on 127.0.0.1 and prints to a file of its own. Those that `running` started, and no others, are
ended when its block is left, however it is left. Should this process be killed, they end by themselves, because the pipe that
is their standard input closes. (The kernel's death signal would come with the end of the thread that started them.)
"""

import http.client
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from loadtests.reference.packages import ReferenceUnavailable, prepare, program
from services.address import Address, AddressUnusable, claimed

__all__ = ["Reference", "ReferenceUnavailable", "prepare", "running"]

SERVERS: Final = ("a", "b", "a-rest", "b-rest")
GATEWAYS: Final = ("gateway-grpc", "gateway-rest")
START_SECONDS: Final = 30
STOP_SECONDS: Final = 2  # they keep nothing: what does not end by then is killed

_ROOT: Final = Path(__file__).parents[2]
_DESCRIPTORS: Final = _ROOT / "services" / "stubs" / "pspd.binpb"


@dataclass(frozen=True, slots=True)
class Child:
    """One process of the reference."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def require_alive(self) -> None:
        """Raises: ReferenceUnavailable."""
        if (status := self.process.poll()) is not None:
            said = self.log.read_text(errors="replace").strip().splitlines() or ["nothing was said"]
            raise ReferenceUnavailable(
                f"the reference's {self.name} ended (status {status}): {said[-1]}; see {self.log}"
            )


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference while it runs. Everything goes by the names in SERVERS and GATEWAYS."""

    addresses: Mapping[str, str]  # "127.0.0.1:8080"
    children: tuple[Child, ...]

    @property
    def grpc(self) -> str:
        """The address of the gateway in front of the gRPC servers."""
        return self.addresses["gateway-grpc"]

    @property
    def rest(self) -> str:
        """The address of the gateway in front of the REST servers."""
        return self.addresses["gateway-rest"]

    @property
    def pids(self) -> dict[str, int]:
        return {child.name: child.process.pid for child in self.children}

    def require_alive(self) -> None:
        """Raises: ReferenceUnavailable, where one of the processes has ended."""
        for child in self.children:
            child.require_alive()


@contextmanager
def running(prepared: Path, logs: Path, ports: Mapping[str, int] | None = None) -> Iterator[Reference]:
    """The six processes while the block runs, from when each answers.

    prepared: what `prepare` returned. logs: the folder for one file a process. ports: by name; 0 or no name is a free one.
    Raises: ReferenceUnavailable.
    """
    ports = ports or {}
    node = program("node")
    _require_packages()
    _require_free(ports)
    children: list[Child] = []
    try:
        for name in SERVERS:
            command = [sys.executable, "-m", f"{__package__}.{name.replace('-', '_')}"]
            children.append(_start(name, command, ports.get(name, 0), logs))
        addresses = {child.name: _listening(child) for child in children}
        for name, command in _gateways(node, prepared, addresses).items():
            children.append(_start(name, command, ports.get(name, 0), logs))
        addresses = {child.name: _listening(child) for child in children}
        reference = Reference(addresses, tuple(children))
        _require_answers(reference)
        yield reference
    finally:
        _end(children)


def _require_packages() -> None:
    missing = [package for package in ("fastapi", "uvicorn") if not find_spec(package)]
    if missing:
        raise ReferenceUnavailable(f"{' and '.join(missing)} not installed: pip install 'meshlog[reference]'")


def _require_free(ports: Mapping[str, int]) -> None:
    for name, port in ports.items():
        if name not in (*SERVERS, *GATEWAYS):
            raise ReferenceUnavailable(
                f"nothing of the reference is called {name!r}; there are {', '.join((*SERVERS, *GATEWAYS))}"
            )
        try:
            claimed(Address(host="127.0.0.1", port=port))
        except AddressUnusable as error:
            reason = str(error).partition(";")[0]  # what follows names an option that nobody here has
            raise ReferenceUnavailable(f"{reason}; give the reference's {name} another port") from error


def _gateways(node: str, prepared: Path, addresses: Mapping[str, str]) -> dict[str, list[str]]:
    grpc = ["--a", addresses["a"], "--b", addresses["b"], "--descriptors", str(_DESCRIPTORS)]
    rest = ["--a", addresses["a-rest"], "--b", addresses["b-rest"]]
    return {
        "gateway-grpc": [node, str(prepared.resolve() / "gateway_grpc.js"), *grpc],
        "gateway-rest": [node, str(prepared.resolve() / "gateway_rest.js"), *rest],
    }


def _start(name: str, command: list[str], port: int, logs: Path) -> Child:
    log = logs / f"{name}.log"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--port", str(port), "--end-with-stdin"],
                cwd=logs,
                env={"PYTHONPATH": str(_ROOT), "PYTHONSAFEPATH": "1"},  # the same from whatever shell it is started
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in the terminal is for us, who end them
            )
    except OSError as error:
        raise ReferenceUnavailable(f"the reference's {name} cannot be started: {error}") from error
    return Child(name, process, log)


def _listening(child: Child) -> str:
    """The address that `child` says it listens on."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if said := re.search(rf"^{child.name} listens on (\S+)$", child.log.read_text(errors="replace"), re.MULTILINE):
            return said[1]
        child.require_alive()
        time.sleep(0.02)
    raise ReferenceUnavailable(f"the reference's {child.name} did not listen within {START_SECONDS} s; see {child.log}")


def _require_answers(reference: Reference) -> None:
    """Every process has answered once: the servers through their gateways."""
    for address in (reference.grpc, reference.rest):
        for path in ("/healthz", "/a/hello?name=pspd", "/b/numbers?count=1"):
            connection = http.client.HTTPConnection(address, timeout=START_SECONDS)
            try:
                connection.request("GET", path)
                status = connection.getresponse().status
            except (OSError, http.client.HTTPException) as error:
                reference.require_alive()
                raise ReferenceUnavailable(f"the reference does not answer http://{address}{path}: {error}") from error
            finally:
                connection.close()
            if status != http.client.OK:
                raise ReferenceUnavailable(f"the reference answers http://{address}{path} with {status}, not with 200")


def _end(children: Iterable[Child]) -> None:
    processes = [child.process for child in children]
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    try:
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:  # a second Ctrl-C only makes it faster
        for process in processes:
            process.kill()
            process.wait()
            if process.stdin:
                process.stdin.close()
