"""Locust's own web UI over our users, with the hosts of a mesh filled in and workers on every core."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtests.errors import GeneratorUnusable
from loadtests.ports import any_port
from loadtests.running.direct import Direct
from loadtests.running.meshes import Mesh
from services.address import Address, AddressUnusable, claimed

FILES = "locustfile.py", "shapes.py"
START_SECONDS = 60.0
END_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class WebUi:
    url: str
    process: "subprocess.Popen[bytes]"


def hosts(mesh: Mesh, direct: Direct) -> dict[str, str]:
    """Path -> what its users' host is."""
    grpc, rest = f"http://127.0.0.1:{mesh.grpc_port}", f"http://127.0.0.1:{mesh.rest_port}"
    return {
        "grpc": grpc,
        "rest": rest,
        "native": grpc,
        "direct-grpc": direct.host("direct-grpc"),
        "direct-rest": direct.host("direct-rest"),
    }


@contextlib.contextmanager
def web_ui(where: dict[str, str], directory: Path, *, port: int) -> Iterator[WebUi]:
    """Locust's web UI at `port` of loopback, until the end of the block. CSV and HTML files go to `directory`, as locust*.

    Raises: GeneratorUnusable.
    """
    _require_free(port)
    log = directory / "locust.log"
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, *_command(where, directory, port)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
            start_new_session=True,  # Ctrl-C is for us, who end it in order
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _await(url, process, log)
        yield WebUi(url, process)
    finally:
        _end(process)


def _command(where: dict[str, str], directory: Path, port: int) -> list[str]:
    here = Path(__file__).parents[1]
    master = str(any_port())  # of its workers: another Locust may have the usual one
    command = ["-m", "locust", "-f", ",".join(str(here / name) for name in FILES), "--class-picker"]
    command += ["--web-host", "127.0.0.1", "--web-port", str(port), "--processes", "-1"]
    command += ["--master-bind-host", "127.0.0.1", "--master-bind-port", master, "--master-port", master]
    command += ["--csv", str(directory / "locust"), "--html", str(directory / "locust.html")]
    return [*command, "--hosts", json.dumps(where)]


def _require_free(port: int) -> None:
    try:
        claimed(Address(host="127.0.0.1", port=port))
    except AddressUnusable as error:
        reason = str(error).partition(";")[0]  # what follows names an option that nobody here has
        raise GeneratorUnusable(
            f"port {port} cannot be had for Locust's web UI ({reason}); choose another with --ui-port"
        ) from None


def _await(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own http://
            return
        time.sleep(0.2)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise GeneratorUnusable(f"Locust's web UI did not start: {lines[-1] if lines else 'it said nothing'}; see {log}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Locust ends its workers itself when it is asked to; its group, ours alone, is ended where it does not."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(END_SECONDS)
