"""With two workloads, the death of one fails no call that changes nothing; with many clients, nobody is turned away."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import grpc
import httpx
import pytest

from edge.tests.given import Ports, a_mesh
from edge.tests.misbehaving import HelloReply, HelloRequest
from edge.tests.running import RunningEdge, misbehaving, running_edge

PORTS = Ports(21620)
CLIENTS = 8


@contextmanager
def two_workloads() -> Iterator[tuple[RunningEdge, int]]:
    """An edge before two applications that serve both paths, and the process id of the first."""
    grpc_apps, rest_apps = [PORTS.app(0), PORTS.app(1)], [PORTS.app(2), PORTS.app(3)]
    with ExitStack() as stack:
        first = stack.enter_context(misbehaving(grpc_apps[0], rest_apps[0], "X"))
        stack.enter_context(misbehaving(grpc_apps[1], rest_apps[1], "Y"))
        edge = stack.enter_context(running_edge(a_mesh(PORTS, grpc_apps=grpc_apps, rest_apps=rest_apps)))
        yield edge, first.pid


def by_http(port: int) -> Callable[[], Callable[[], str]]:
    def client() -> Callable[[], str]:
        kept = httpx.Client()

        def call() -> str:
            answer = kept.get(f"http://localhost:{port}/a/hello")
            assert answer.status_code == 200, answer.text
            return str(answer.json()["message"])

        return call

    return client


def by_grpc() -> Callable[[], str]:
    channel = grpc.insecure_channel(f"localhost:{PORTS.grpc}", [("grpc.use_local_subchannel_pool", 1)])
    call = channel.unary_unary("/pspd.ServiceA/SayHello", HelloRequest.SerializeToString, HelloReply.FromString)
    return lambda: str(call(HelloRequest(name="Ana")).message)


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(by_http(PORTS.grpc), id="JSON to gRPC"),
        pytest.param(by_http(PORTS.rest), id="REST"),
        pytest.param(by_grpc, id="native gRPC"),
    ],
)
def test_sigkill_of_one_of_two_workloads_fails_no_call(client: Callable[[], Callable[[], str]]) -> None:
    with two_workloads() as (_, first):
        over = threading.Event()

        def calls() -> list[str]:
            call, answers = client(), []
            while not over.is_set():
                answers.append(call())  # raises if it fails
            return answers

        with ThreadPoolExecutor(CLIENTS) as pool:
            running = [pool.submit(calls) for _ in range(CLIENTS)]
            time.sleep(1)
            os.kill(first, signal.SIGKILL)
            time.sleep(1.5)
            over.set()
            answers = [answer for task in running for answer in task.result()]
    assert set(answers) == {"X", "Y"}
    assert answers.count("Y") > len(answers) / 2


def test_a_service_that_says_unavailable_is_asked_elsewhere() -> None:
    """As the sidecar of a dead workload does."""
    with two_workloads() as (edge, _):
        answer = edge.curl("/a/hello?name=abort+14+no")
        assert (answer.status, json.loads(answer.body)["message"]) == (503, "no")
        retried = edge.stats("cluster.a-v1.upstream_rq_retry")
        assert retried["cluster.a-v1.upstream_rq_retry"] == 2


def test_3200_clients_with_a_call_in_flight_each_are_all_served() -> None:
    """Each on an HTTP/1.1 connection of its own; nobody is answered before all have asked."""
    grpc_app, rest_app = PORTS.app(0), PORTS.app(2)
    topology = a_mesh(PORTS, grpc_apps=[grpc_app], rest_apps=[rest_app], timeout_seconds=20)
    with misbehaving(grpc_app, rest_app), running_edge(topology) as edge:
        for port in (edge.ports.grpc, edge.ports.rest):
            assert _statuses(port, clients=3_200, held_seconds=3) == {b"200": 3_200}


def _statuses(port: int, *, clients: int, held_seconds: int) -> dict[bytes, int]:
    sockets = []
    for _ in range(clients):
        sockets.append(socket.create_connection(("127.0.0.1", port), timeout=30))
        sockets[-1].sendall(f"GET /a/hello?name=sleep+{held_seconds} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    found: dict[bytes, int] = {}
    for one in sockets:
        status = one.recv(12).rpartition(b" ")[2]
        found[status] = found.get(status, 0) + 1
        one.close()
    return found
