"""The generator's clients: right answers pass, and everything else is an error with its cause, never a hang.

Clients run on gevent, which takes the whole process over, so each test asks a process of its own.
"""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mesh.tests.meshes import Mesh

ASK = """
import json, sys
from gevent import monkey
monkey.patch_all()
from loadtests.model.cells import Cell
from loadtests.users.clients import CallFailed
from loadtests.users.journeys import journey
asked = json.loads(sys.argv[1])
cell = Cell(**asked["cell"])
if asked["client"] == "native":
    from loadtests.users.clients.native import NativeClient
    hosts = {name: f"127.0.0.1:{asked['port']}" for name in ("a", "b", "echo")}
    client = NativeClient(hosts, timeout_seconds=asked["timeout"], reuse=cell.reuse)
else:
    from loadtests.users.clients.http1 import Http1Client
    from loadtests.users.clients.http2 import Http2Client
    kind = {"http1": Http1Client, "http2": Http2Client}[asked["client"]]
    client = kind("127.0.0.1", asked["port"], timeout_seconds=asked["timeout"], reuse=cell.reuse)
for _ in range(asked["times"]):
    for call in journey(cell):
        try:
            print(json.dumps(client.call(call, "00-" + "1" * 32 + "-" + "2" * 16 + "-00")))
        except CallFailed as error:
            print(json.dumps(str(error)))
client.close()
"""


def asked(client: str, port: int, *, times: int = 1, timeout: float = 5.0, **cell: Any) -> list[Any]:
    """What each call came to: the bytes of the answer, or the cause of the failure."""
    wanted = {"client": client, "port": port, "times": times, "timeout": timeout}
    wanted["cell"] = {"path": "grpc", "journey": "a", "users": 1, **cell}
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(wanted)], capture_output=True, text=True, timeout=60, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where every connection is handed to `answer`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def saying(said: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65_536):
                connection.sendall(said)
                if not said:
                    return

    return answer


def http(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.mesh
@pytest.mark.parametrize("client", ["http1", "http2", "native"])
@pytest.mark.parametrize("reuse", [True, False])
def test_right_answers_of_a_real_mesh_pass(mesh: Mesh, client: str, reuse: bool) -> None:
    path = "native" if client == "native" else "grpc"
    found = asked(client, mesh.grpc, times=3, path=path, journey="report", reuse=reuse)
    assert len(found) == 6
    assert all(isinstance(size, int) and size > 0 for size in found), found


@pytest.mark.mesh
@pytest.mark.parametrize("client", ["http1", "http2"])
def test_right_answers_of_the_rest_path_pass(mesh: Mesh, client: str) -> None:
    found = asked(client, mesh.rest, times=2, path="rest", journey="report")
    assert all(isinstance(size, int) and size > 0 for size in found), found


@pytest.mark.mesh
@pytest.mark.parametrize(("client", "cause"), [("http1", "HTTP 400: count"), ("native", "gRPC INVALID_ARGUMENT")])
def test_what_the_mesh_refuses_is_an_error_in_its_words(mesh: Mesh, client: str, cause: str) -> None:
    path = "native" if client == "native" else "grpc"
    (found,) = asked(client, mesh.grpc, path=path, journey="b", count=20_000)
    assert str(found).startswith(cause)


@pytest.mark.parametrize("client", ["http1", "http2", "native"])
def test_nobody_there_is_an_error(client: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        path = "native" if client == "native" else "grpc"
        (found,) = asked(client, nobody.getsockname()[1], path=path)
    assert found == ("gRPC UNAVAILABLE" if client == "native" else "connection refused")


@pytest.mark.parametrize("client", ["http1", "http2", "native"])
def test_silence_is_a_timeout(client: str) -> None:
    def silent(connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass

    with answering(silent) as port:
        path = "native" if client == "native" else "grpc"
        assert asked(client, port, timeout=0.5, path=path) == ["timeout"]


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (b"", "connection reset"),
        (b"SSH-2.0-nonsense\r\n", "answer is not HTTP"),
        (http("200 OK", b'{"message":"Ol\xc3\xa1, mundo! [A]"}'), "wrong answer"),
        (http("200 OK", b"<html>"), "answer is not JSON"),
        (http("503 Service Unavailable", b""), "HTTP 503"),
        (
            http("503 Service Unavailable", b'{"code":14,"message":"no healthy upstream"}'),
            "HTTP 503: no healthy upstream",
        ),
        (http("500 Internal Server Error", b'{"error":"14 UNAVAILABLE"}'), "HTTP 500: 14 UNAVAILABLE"),
    ],
)
def test_each_failure_has_its_cause(said: bytes, cause: str) -> None:
    with answering(saying(said)) as port:
        assert asked("http1", port, times=2) == [cause, cause]


def test_a_call_is_never_sent_twice() -> None:
    received: list[bytes] = []

    def closes(connection: socket.socket) -> None:
        with connection:
            received.append(connection.recv(65_536))

    with answering(closes) as port:
        assert asked("http1", port, times=3) == ["connection reset"] * 3
    assert len(received) == 3


def test_a_connection_that_the_server_closes_in_order_is_opened_again() -> None:
    right = '{"message":"Olá, pspd! [A]"}'.encode()

    def closes(connection: socket.socket) -> None:
        with connection:
            connection.recv(65_536)
            connection.sendall(http("200 OK", right, "Connection: close"))

    with answering(closes) as port:
        assert asked("http1", port, times=3) == [len(right)] * 3
