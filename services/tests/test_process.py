"""The life of a workload's process: its address, its signals, its end. The same for all."""

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2

from services.address import AddressUnusable, listening, parsed
from services.stubs import pspd_pb2
from services.tests.running import ROOT, Started, a_port, health_stub, spawn, started, stub_b

ALL = ["a", "b", "a_rest", "b_rest", "echo", "echo_rest"]


@pytest.mark.parametrize("module", ["a", "a_rest"])
def test_a_taken_port_is_one_sentence_with_its_owner_and_status_1(module: str) -> None:
    port = a_port()
    with socket.create_server(("127.0.0.1", port)):
        failed = spawn(module, "--listen", f"127.0.0.1:{port}")
        _, errors = failed.communicate(timeout=20)
    assert failed.returncode == 1
    (sentence,) = errors.splitlines()
    assert f"127.0.0.1:{port} is taken by python" in sentence
    assert "pid" in sentence


@pytest.mark.parametrize("module", ["a", "a_rest"])
def test_the_socket_of_a_living_process_is_not_taken_over(module: str, tmp_path: Path) -> None:
    with started(module, listen="unix:app.sock", cwd=tmp_path) as first:
        second = spawn(module, "--listen", "unix:app.sock", cwd=tmp_path)
        _, errors = second.communicate(timeout=20)
        assert second.returncode == 1
        assert "unix:app.sock is taken" in errors
        assert first.process.poll() is None
        assert (tmp_path / "app.sock").is_socket()


@pytest.mark.parametrize("module", ["a", "a_rest"])
def test_the_socket_of_a_killed_process_is_no_obstacle_and_ends_with_its_own(module: str, tmp_path: Path) -> None:
    with started(module, listen="unix:app.sock", cwd=tmp_path) as first:
        first.process.kill()
        first.process.wait()
    assert (tmp_path / "app.sock").is_socket()
    with started(module, listen="unix:app.sock", cwd=tmp_path) as second:
        assert (tmp_path / "app.sock").stat().st_mode & 0o077 == 0
        second.process.send_signal(signal.SIGTERM)
        assert second.ended() == (0, "")
    assert not (tmp_path / "app.sock").exists()


@pytest.mark.parametrize(
    ("listen", "says"),
    [
        ("unix:no/such/folder/app.sock", "No such file or directory"),
        ("unix:" + "x" * 200, "AF_UNIX path too long"),
        ("192.0.2.1:22001", "Cannot assign requested address"),
    ],
)
def test_an_address_that_cannot_be_is_one_sentence(listen: str, says: str) -> None:
    with pytest.raises(AddressUnusable, match=says) as refused:
        listening(parsed(listen))
    assert listen in str(refused.value)


def test_what_is_no_address_is_a_mistake_in_the_command() -> None:
    failed = spawn("a", "--listen", "50051")
    _, errors = failed.communicate(timeout=20)
    assert failed.returncode == 2
    assert "'50051' is neither host:port nor unix:path" in errors


@pytest.mark.parametrize(("module", "number"), [("b", signal.SIGTERM), ("b_rest", signal.SIGINT)])
def test_a_signal_lets_calls_in_flight_end_and_no_new_ones_begin(module: str, number: signal.Signals) -> None:
    with started(module) as server:
        calls = [Call(server, count=4, delay_ms=200) for _ in range(5)]
        sleep(0.3)
        server.process.send_signal(number)
        sleep(0.1)
        with pytest.raises((OSError, httpx.HTTPError, grpc.RpcError)):
            socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), timeout=1).close()
        assert [call.result() for call in calls] == [[1, 2, 3, 4]] * 5
        start = monotonic()
        assert server.ended() == (0, "")
        assert monotonic() - start < 1


@pytest.mark.parametrize("module", ["b", "b_rest"])
def test_who_takes_too_long_is_cut_off_when_the_time_is_up(module: str) -> None:
    with started(module, "--drain-seconds", "0.5") as server:
        call = Call(server, count=10, delay_ms=10_000)
        sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        start = monotonic()
        assert server.ended() == (0, "")
        assert 0.4 < monotonic() - start < 1.5
        assert isinstance(call.result(), Exception)


@pytest.mark.parametrize("module", ["b", "b_rest"])
def test_a_second_signal_ends_at_once(module: str) -> None:
    with started(module) as server:
        Call(server, count=10, delay_ms=10_000)
        sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        start = monotonic()
        assert server.ended() == (0, "")
        assert monotonic() - start < 1


@pytest.mark.parametrize("module", ["b", "b_rest"])
def test_a_client_that_leaves_frees_its_place_and_is_no_news_to_the_log(module: str) -> None:
    with started(module, "--max-calls", "1") as server:
        gone = Call(server, count=10, delay_ms=10_000, timeout_seconds=0.3)
        assert isinstance(gone.result(), Exception)
        assert Call(server, count=1, delay_ms=0).result() == [1]
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == (0, "")


@pytest.mark.parametrize("module", ALL)
def test_an_idle_workload_ends_at_once_though_clients_hold_connections(module: str) -> None:
    with started(module) as server, socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))):
        sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        start = monotonic()
        assert server.ended() == (0, "")
        assert monotonic() - start < 1


def test_who_watches_health_learns_of_the_end_and_does_not_delay_it() -> None:
    with started("a") as server, grpc.insecure_channel(server.address) as channel:
        watch = health_stub(channel).Watch(health_pb2.HealthCheckRequest(service="pspd.ServiceA"))
        seen = [next(watch).status]
        server.process.send_signal(signal.SIGTERM)
        start = monotonic()
        seen.append(next(watch).status)
        assert server.ended() == (0, "")
        assert monotonic() - start < 1.5
    assert seen == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]


@pytest.mark.parametrize("module", ["a", "a_rest"])
def test_without_an_exporter_opentelemetry_is_not_even_imported(module: str) -> None:
    code = f"import sys, services.{module}; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.stdout.strip() == "[]"


class Call:
    """A call of B or B-REST that a thread waits for."""

    def __init__(self, server: Started, count: int, delay_ms: int, timeout_seconds: float = 30) -> None:
        ask = _over_rest if "b_rest" in str(server.process.args) else _over_grpc
        self._result: list[int] | Exception | None = None

        def wait() -> None:
            try:
                self._result = ask(server, count, delay_ms, timeout_seconds)
            except (httpx.HTTPError, grpc.RpcError) as error:
                self._result = error

        self._thread = threading.Thread(target=wait, daemon=True)
        self._thread.start()

    def result(self) -> list[int] | Exception | None:
        self._thread.join(10)
        return self._result


def _over_rest(server: Started, count: int, delay_ms: int, timeout_seconds: float) -> list[int]:
    asked = {"count": count, "delay_ms": delay_ms}
    answer = httpx.get(f"{server.url}/b/numbers", params=asked, timeout=timeout_seconds)
    return list(answer.json()["values"])


def _over_grpc(server: Started, count: int, delay_ms: int, timeout_seconds: float) -> list[int]:
    asked = pspd_pb2.StreamRequest(count=count, delay_ms=delay_ms)
    with grpc.insecure_channel(server.address) as channel:
        stub = stub_b(channel)
        return [reply.value for reply in stub.StreamNumbers(asked, timeout=timeout_seconds)]
