"""Reflection at the edge: all services of the topology by one port, with the client that everybody uses."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from edge.reflection import OWN_SERVICES, serve
from edge.tests.given import ROOT, Ports, a_mesh
from edge.tests.running import RunningEdge, end, until
from mesh.events import ServiceRetired, WorkloadLeft
from mesh.topology import Topology, evolve

PORTS = Ports(21640)
MESH = a_mesh(PORTS, grpc_apps=[PORTS.app(0)])
Status = health_pb2.HealthCheckResponse


class Topologies:
    """A mesh that changes when the test says so."""

    def __init__(self, first: Topology) -> None:
        self._coming: asyncio.Queue[Topology] = asyncio.Queue()
        self.become(first)

    def become(self, topology: Topology) -> None:
        self._coming.put_nowait(topology)

    async def __aiter__(self) -> AsyncIterator[Topology]:
        while True:
            yield await self._coming.get()


@asynccontextmanager
async def serving(listen: str, topologies: Topologies) -> AsyncIterator[grpc.aio.Channel]:
    server = asyncio.create_task(serve(listen, aiter(topologies)))
    async with grpc.aio.insecure_channel(listen) as channel:
        await asyncio.wait_for(channel.channel_ready(), 10)
        yield channel
    server.cancel()
    with suppress(asyncio.CancelledError):
        await server


async def listed(channel: grpc.aio.Channel, version: str) -> set[str]:
    call: Any = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    async for answer in call:
        return {service.name for service in answer.list_services_response.service}
    return set()


async def eventually(holds: Any) -> None:
    for _ in range(200):
        if await holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came about")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_both_versions_list_every_service_of_the_topology(tmp_path: Path, version: str) -> None:
    topologies = Topologies(MESH)
    async with serving(f"unix:{tmp_path}/reflection.sock", topologies) as channel:

        async def lists(*services: str) -> bool:
            return await listed(channel, version) == {*services, *OWN_SERVICES}

        await eventually(lambda: lists("pspd.ServiceA", "pspd.ServiceB"))
        topologies.become(evolve(MESH, ServiceRetired("b")))
        await eventually(lambda: lists("pspd.ServiceA"))


async def test_before_the_first_topology_it_reflects_itself(tmp_path: Path) -> None:
    async with serving(f"unix:{tmp_path}/reflection.sock", Topologies(Topology())) as channel:
        assert await listed(channel, "v1") == set(OWN_SERVICES)


async def test_health_follows_the_workloads(tmp_path: Path) -> None:
    topologies = Topologies(MESH)
    async with serving(f"unix:{tmp_path}/reflection.sock", topologies) as channel:
        stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call, unused-ignore]

        async def health_of(service: str) -> Any:
            return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status

        async def a_is(status: Any) -> bool:
            with suppress(grpc.RpcError):
                return bool(await health_of("pspd.ServiceA") == status)
            return False

        await eventually(lambda: a_is(Status.SERVING))
        assert await health_of("") == Status.SERVING
        topologies.become(evolve(MESH, WorkloadLeft("a-v1-1", "a")))
        await eventually(lambda: a_is(Status.NOT_SERVING))


@pytest.fixture(scope="module")
def reflecting(honest: RunningEdge) -> Iterator[RunningEdge]:
    """The edge before the real services, with its reflection server beside it."""
    listen = f"unix:{honest.directory}/reflection.sock"
    program = (
        "import asyncio, sys\n"
        "from edge.reflection import serve\n"
        "from edge.tests.test_reflection import MESH, Topologies\n"
        "asyncio.run(serve(sys.argv[1], aiter(Topologies(MESH))))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, listen], cwd=ROOT)
    try:
        until((honest.directory / "reflection.sock").exists)
        yield honest
    finally:
        end(process)


def grpcurl(edge: RunningEdge, *arguments: str, port: int | None = None) -> str:
    address = f"localhost:{port or edge.ports.grpc}"
    before = [argument for argument in arguments if argument.startswith("-")]
    command = ["grpcurl", "-plaintext", *before, address, *(one for one in arguments if not one.startswith("-"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr


@pytest.mark.tool("grpcurl")
class TestGrpcurl:
    def test_lists_all_services(self, reflecting: RunningEdge) -> None:
        assert {"pspd.ServiceA", "pspd.ServiceB", *OWN_SERVICES} <= set(grpcurl(reflecting, "list").splitlines())

    @pytest.mark.parametrize("service", ["pspd.ServiceA", "pspd.ServiceB", *OWN_SERVICES])
    def test_describes_each(self, reflecting: RunningEdge, service: str) -> None:
        assert grpcurl(reflecting, "describe", service).startswith(f"{service} is a service:")

    def test_describes_a_method(self, reflecting: RunningEdge) -> None:
        described = grpcurl(reflecting, "describe", "pspd.ServiceB.StreamNumbers")
        assert described.startswith("pspd.ServiceB.StreamNumbers is a method:")

    def test_calls_a_by_reflection(self, reflecting: RunningEdge) -> None:
        answer = grpcurl(reflecting, '-d={"name": "Edilberto"}', "pspd.ServiceA/SayHello")
        assert json.loads(answer) == {"message": "Olá, Edilberto! [A]"}

    def test_calls_b_by_reflection(self, reflecting: RunningEdge) -> None:
        answer = grpcurl(reflecting, '-d={"count": 3, "delay_ms": 5}', "pspd.ServiceB/StreamNumbers")
        assert [json.loads(part)["value"] for part in answer.replace("}\n{", "}\0{").split("\0")] == [1, 2, 3]

    def test_sees_the_details_of_an_error(self, reflecting: RunningEdge) -> None:
        answer = grpcurl(reflecting, '-d={"count": 1000000000}', "pspd.ServiceB/StreamNumbers")
        assert "InvalidArgument" in answer
        assert "TOO_LARGE" in answer

    def test_asks_for_health(self, reflecting: RunningEdge) -> None:
        answer = grpcurl(reflecting, '-d={"service": "pspd.ServiceB"}', "grpc.health.v1.Health/Check")
        assert json.loads(answer) == {"status": "SERVING"}

    def test_finds_no_reflection_on_the_rest_path(self, reflecting: RunningEdge) -> None:
        assert "does not support the reflection API" in grpcurl(reflecting, "list", port=reflecting.ports.rest)
