"""Edges that several test files share. A test that kills or starves something starts its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from edge.tests.given import ROOT, Ports, a_mesh
from edge.tests.running import RunningEdge, end, misbehaving, running_edge, until_listening
from mesh.events import Limits, Workload, WorkloadJoined
from mesh.topology import evolved

MISBEHAVING, HONEST = Ports(21520), Ports(21540)
SHORT = Limits(request_headers_timeout_seconds=1, request_timeout_seconds=2, request_body_bytes=100_000)


@pytest.fixture(scope="session")
def misled() -> Iterator[RunningEdge]:
    """An edge before applications that do what services should not (misbehaving.py); its limits are short."""
    apps = MISBEHAVING.app(0), MISBEHAVING.app(1)
    topology = a_mesh(
        MISBEHAVING,
        grpc_apps=apps[:1],
        rest_apps=apps[1:],
        limits=SHORT,
        timeout_seconds=2,
        allow_origins=("https://pages.example",),
    )
    with misbehaving(*apps), running_edge(topology) as edge:
        yield edge


@pytest.fixture(scope="session")
def honest() -> Iterator[RunningEdge]:
    """An edge before the real services."""
    services = {"a": "services.a", "b": "services.b", "a-rest": "services.a_rest", "b-rest": "services.b_rest"}
    places = {name: f"127.0.0.1:{HONEST.app(number)}" for number, name in enumerate(services)}
    joined = [WorkloadJoined(Workload(f"{name}-v1-1", name, "v1", place, "-")) for name, place in places.items()]
    with ExitStack() as stack:
        for name, module in services.items():
            command = [sys.executable, "-m", module, "--listen", places[name]]
            process = subprocess.Popen(command, cwd=ROOT)
            stack.callback(end, process)
            until_listening(places[name])
        yield stack.enter_context(running_edge(evolved(joined, a_mesh(HONEST))))
