"""The reference answers as the original report's system did, has its bottleneck, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import psutil
import pytest

from loadtests.reference.serving import WORKERS
from loadtests.reference.system import GATEWAYS, SERVERS, Reference, ReferenceUnavailable, prepare, running
from mesh.tests.meshes import until
from services.stubs import pspd_pb2
from services.tests.running import stub_a

pytestmark = [pytest.mark.tool("node"), pytest.mark.tool("npm")]

FOLDER = Path(__file__).parents[1] / "reference"
HOLDER = """
import sys, time
from pathlib import Path
from loadtests.reference.system import running
with running(Path(sys.argv[1]), Path(sys.argv[2])) as reference:
    print(*reference.pids.values(), flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def reference(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    with running(prepared, tmp_path_factory.mktemp("logs")) as started:
        yield started


@pytest.mark.parametrize(
    ("gateway", "path", "answer"),
    [
        ("gateway-grpc", "/a/hello?name=pspd", {"from": "A", "message": "Olá, pspd! [A]"}),
        ("gateway-grpc", "/b/numbers?count=3&delay_ms=1", {"from": "B", "values": [1, 2, 3]}),
        ("gateway-grpc", "/b/numbers", {"from": "B", "values": [1, 2, 3, 4, 5]}),
        ("gateway-rest", "/a/hello?name=pspd", {"message": "Olá, pspd! [A-REST]"}),
        ("gateway-rest", "/b/numbers?count=3&delay_ms=1", {"values": [1, 2, 3]}),
        ("gateway-rest", "/b/numbers", {"values": [1, 2, 3, 4, 5]}),
        ("gateway-rest", "/b/numbers?count=0", {"values": []}),
    ],
)
def test_every_route_answers_as_the_originals(
    reference: Reference, gateway: str, path: str, answer: dict[str, object]
) -> None:
    response = httpx.get(f"http://{reference.addresses[gateway]}{path}")
    assert (response.status_code, response.json()) == (200, answer)


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_the_gateways_are_healthy(reference: Reference, gateway: str) -> None:
    assert httpx.get(f"http://{reference.addresses[gateway]}/healthz").text == "ok"


def test_an_empty_name_over_native_grpc_greets_world_as_the_original_did(reference: Reference) -> None:
    with grpc.insecure_channel(reference.addresses["a"]) as channel:
        assert stub_a(channel).SayHello(pspd_pb2.HelloRequest(), timeout=10).message == "Olá, world! [A]"


def test_what_a_server_refuses_is_a_500_with_its_reason(reference: Reference) -> None:
    response = httpx.get(f"http://{reference.rest}/b/numbers?count=abc")
    assert response.status_code == 500
    assert "422" in response.json()["error"]


def test_b_answers_ten_calls_at_a_time_and_lets_the_others_wait(reference: Reference) -> None:
    """Thirty calls of half a second each are three rounds of ten workers: one of them must serve three, one after the other."""
    rounds, count, delay_ms = 3, 5, 100

    def call(_: int) -> int:
        return httpx.get(f"http://{reference.grpc}/b/numbers?count={count}&delay_ms={delay_ms}", timeout=60).status_code

    with ThreadPoolExecutor(rounds * WORKERS) as clients:
        begun = time.monotonic()
        statuses = list(clients.map(call, range(rounds * WORKERS)))
    assert statuses == [200] * rounds * WORKERS
    assert time.monotonic() - begun >= rounds * count * delay_ms / 1_000


def test_every_process_listens_on_loopback_alone_under_its_name(reference: Reference) -> None:
    assert set(reference.pids) == {*SERVERS, *GATEWAYS}
    for name, pid in reference.pids.items():
        listening = [c.laddr for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert [f"{ip.removeprefix('::ffff:')}:{port}" for ip, port in listening] == [reference.addresses[name]]
        assert reference.addresses[name].startswith("127.0.0.1:")


def test_what_is_prepared_is_not_installed_again(prepared: Path) -> None:
    made = prepared.stat().st_mtime_ns
    assert prepare(prepared.parent) == prepared
    assert prepared.stat().st_mtime_ns == made


def test_the_block_ends_its_processes_even_when_it_fails_and_even_those_that_will_not(
    prepared: Path, tmp_path: Path
) -> None:
    processes: list[psutil.Process] = []

    def fail() -> None:
        with running(prepared, tmp_path) as reference:
            processes.extend(psutil.Process(pid) for pid in reference.pids.values())
            os.kill(reference.pids["b-rest"], signal.SIGSTOP)  # it hears no SIGTERM
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(processes) == len((*SERVERS, *GATEWAYS))
    assert not any(process.is_running() for process in processes)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_whoever_started_it(prepared: Path, tmp_path: Path, end: signal.Signals) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(prepared), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert holder.stdout
        processes = [psutil.Process(int(pid)) for pid in holder.stdout.readline().split()]
        assert len(processes) == len((*SERVERS, *GATEWAYS))
        holder.send_signal(end)
        holder.wait(timeout=20)
        until(lambda: not any(process.is_running() and _is_alive(process) for process in processes))
    finally:
        holder.kill()
        holder.communicate()


def test_a_process_that_died_is_named(prepared: Path, tmp_path: Path) -> None:
    with running(prepared, tmp_path) as reference:
        reference.require_alive()
        os.kill(reference.pids["b"], signal.SIGKILL)
        with pytest.raises(ReferenceUnavailable, match="b ended"):
            until(reference.require_alive)


@pytest.mark.parametrize("name", ["gateway-grpc", "b-rest"])
def test_a_taken_port_is_one_sentence_with_its_owner(prepared: Path, tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ReferenceUnavailable) as refused, running(prepared, tmp_path, {name: port}):
            pass
    sentence = str(refused.value)
    assert f"127.0.0.1:{port} is taken by python" in sentence
    assert str(os.getpid()) in sentence
    assert f"give the reference's {name} another port" in sentence


@pytest.mark.parametrize("script", ["gateway_grpc.js", "gateway_rest.js"])
def test_a_gateway_whose_port_was_taken_meanwhile_says_so_and_ends(prepared: Path, script: str) -> None:
    arguments = ["--a", "127.0.0.1:1", "--b", "127.0.0.1:1"]
    if script == "gateway_grpc.js":
        arguments += ["--descriptors", str(FOLDER.parents[1] / "services" / "stubs" / "pspd.binpb")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = ["node", str(prepared / script), *arguments, "--port", port]
        failed = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert failed.returncode == 1
    assert failed.stderr.strip() == f"cannot listen on 127.0.0.1:{port}: EADDRINUSE; choose another with --port"


def test_a_name_that_nothing_has_is_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(ReferenceUnavailable, match="'c'; there are a, b"), running(prepared, tmp_path, {"c": 0}):
        pass


def test_without_node_the_sentence_says_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ReferenceUnavailable, match=r"node is not on PATH.*Node\.js 18"):
        prepare(tmp_path / "cache")


def test_an_install_that_fails_is_one_sentence_and_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(
            ("127.0.0.1", 0)
        )  # bound, so that nobody else comes to listen there; not listening, so that it refuses
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
        with pytest.raises(ReferenceUnavailable, match=r"npm ci failed \(ECONNREFUSED\); it needs npm's registry once"):
            prepare(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["reference-npm.log"]


def test_the_lock_file_names_no_registry_and_proves_every_package() -> None:
    packages = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    installed = [package for name, package in packages.items() if name]
    assert len(installed) > 50
    assert all("integrity" in package and "resolved" not in package for package in installed)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # what has lost its parent is reaped by whoever adopts it
    except psutil.NoSuchProcess:
        return False
