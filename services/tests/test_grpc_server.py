"""What the gRPC services promise beside their answers: health, reflection, bounds, cancellation, errors that tell nothing."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from services.a import ServiceA
from services.address import Address
from services.process import Options
from services.server import GrpcServer, started
from services.stubs import pspd_pb2, pspd_pb2_grpc
from services.tests import running
from services.tests.running import Started, a_port, health_stub, stub_a, stub_b

SERVICE_A = pspd_pb2.DESCRIPTOR.services_by_name["ServiceA"]
INTERFACES = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
]


@pytest.mark.parametrize(("service", "status"), [("", "SERVING"), ("pspd.ServiceA", "SERVING"), ("pspd.Other", None)])
def test_health_knows_the_service_by_its_name_and_as_the_whole(a: Started, service: str, status: str | None) -> None:
    with grpc.insecure_channel(a.address) as channel:
        check = health_stub(channel).Check
        if status is None:
            with pytest.raises(grpc.RpcError) as refused:
                check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert refused.value.code() == grpc.StatusCode.NOT_FOUND
        else:
            answer = check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status) == status


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_answers_as_both_versions(b: Started, version: str) -> None:
    Request = reflection_pb2.ServerReflectionRequest  # noqa: N806 - a class
    asked = [
        Request(list_services=""),
        Request(file_containing_symbol="pspd.ServiceB"),
        Request(file_containing_symbol="grpc.reflection.v1.ServerReflection"),
        Request(file_containing_symbol="pspd.ServiceB.StreamNumbers"),  # as ghz asks
        Request(file_containing_symbol="pspd.ServiceB.Nothing"),
    ]
    with grpc.insecure_channel(b.address) as channel:
        look = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            Request.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        listed, own, v1, method, unknown = look(iter(asked), timeout=5)
    assert [one.name for one in listed.list_services_response.service] == [*INTERFACES, "pspd.ServiceB"]
    assert own.file_descriptor_response.file_descriptor_proto
    assert v1.file_descriptor_response.file_descriptor_proto
    assert method.file_descriptor_response == own.file_descriptor_response
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.tool("grpcurl")
class TestGrpcurl:
    def test_lists_the_services(self, a: Started) -> None:
        assert _grpcurl(a.address, "list").splitlines() == [*INTERFACES, "pspd.ServiceA"]

    @pytest.mark.parametrize("service", [*INTERFACES, "pspd.ServiceA"])
    def test_describes_each(self, a: Started, service: str) -> None:
        assert _grpcurl(a.address, "describe", service).startswith(f"{service} is a service:")

    def test_calls_by_reflection_over_a_unix_socket(self, tmp_path: Path) -> None:
        with running.started("a", listen="unix:app.sock", cwd=tmp_path):
            told = _grpcurl(f"unix://{tmp_path}/app.sock", "pspd.ServiceA/SayHello")
        assert json.loads(told) == {"message": "Olá, mundo! [A]"}


def test_headers_as_large_as_the_edge_lets_them_be_do_not_matter(a: Started) -> None:
    # Envoy repeats the whole URL in x-envoy-original-path; gRPC's own limit is 8 KiB, beyond it calls fail at random
    with grpc.insecure_channel(a.address) as channel:
        stub = stub_a(channel)
        metadata = (("x-envoy-original-path", "/" + "x" * 61_440),)
        for _ in range(10):
            assert stub.SayHello(pspd_pb2.HelloRequest(), metadata=metadata, timeout=5).message


def test_a_message_of_a_megabyte_is_not_even_read(a: Started) -> None:
    with grpc.insecure_channel(a.address) as channel, pytest.raises(grpc.RpcError) as refused:
        stub_a(channel).SayHello(pspd_pb2.HelloRequest(name="x" * 1_000_000), timeout=5)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


class Broken(ServiceA):
    async def SayHello(  # noqa: N802 - the contract's name
        self, request: pspd_pb2.HelloRequest, context: Any
    ) -> pspd_pb2.HelloReply:
        if request.name == "not found":
            await context.abort(grpc.StatusCode.NOT_FOUND, "nobody is called so")
        raise RuntimeError("the password is 1234")


async def test_what_nobody_expected_is_not_told_but_logged(caplog: pytest.LogCaptureFixture) -> None:
    def add(server: grpc.aio.Server) -> None:
        pspd_pb2_grpc.add_ServiceAServicer_to_server(Broken(), server)  # type: ignore[no-untyped-call]

    server = await started(SERVICE_A, add, _options(), None)
    async with grpc.aio.insecure_channel(str(server.address)) as channel:
        stub = stub_a(channel)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.SayHello(pspd_pb2.HelloRequest())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.SayHello(pspd_pb2.HelloRequest(name="not found"))
    await server.end()
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert "1234" in caplog.text
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.NOT_FOUND, "nobody is called so")


async def test_a_client_that_leaves_ends_its_stream_at_once(own_b: GrpcServer) -> None:
    async with grpc.aio.insecure_channel(str(own_b.address)) as channel:
        call = _numbers(channel, count=300, delay_ms=1_000)
        assert (await call.read()).value == 1
        assert own_b.places.taken == 1
        call.cancel()
        await asyncio.wait_for(own_b.places.empty(), 0.5)


async def test_a_connection_that_breaks_ends_its_streams_at_once(own_b: GrpcServer) -> None:
    channel = grpc.aio.insecure_channel(str(own_b.address))
    calls = [_numbers(channel, count=300, delay_ms=1_000) for _ in range(20)]
    for call in calls:
        await call.read()
    assert own_b.places.taken == 20
    await channel.close()
    await asyncio.wait_for(own_b.places.empty(), 0.5)


async def test_a_deadline_ends_a_stream(own_b: GrpcServer) -> None:
    async with grpc.aio.insecure_channel(str(own_b.address)) as channel:
        start = monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as late:
            async for _ in _numbers(channel, count=100, delay_ms=100, timeout=0.35):
                pass
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert monotonic() - start < 1
        await asyncio.wait_for(own_b.places.empty(), 0.5)


async def test_calls_over_the_bound_are_told_so_and_health_answers_still() -> None:
    server = await _own_b(calls_max=2)
    async with grpc.aio.insecure_channel(str(server.address)) as channel:
        first = [_numbers(channel, count=2, delay_ms=60_000) for _ in range(2)]
        for call in first:
            await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _numbers(channel, count=1).read()
        check = health_stub(channel).Check
        assert (await check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
        first[0].cancel()
        while server.places.taken > 1:
            await asyncio.sleep(0.01)
        assert (await _numbers(channel, count=1).read()).value == 1
    await server.end()
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.value.details() == "2 calls are being answered already, and no more are at once; try again"


def test_3200_streams_at_once_are_all_answered(b: Started) -> None:
    with grpc.insecure_channel(b.address) as channel:
        stub = stub_b(channel)
        asked = pspd_pb2.StreamRequest(count=1, delay_ms=1_000)
        calls = [stub.StreamNumbers(asked, timeout=20) for _ in range(3_200)]
        assert all([reply.value for reply in call] == [1] for call in calls)


@pytest.fixture
async def own_b() -> AsyncIterator[GrpcServer]:
    server = await _own_b(calls_max=100)
    yield server
    await server.end()


async def _own_b(calls_max: int) -> GrpcServer:
    from services.b import add

    return await started(pspd_pb2.DESCRIPTOR.services_by_name["ServiceB"], add, _options(calls_max), None)


def _options(calls_max: int = 100) -> Options:
    return Options(Address("127.0.0.1", a_port()), 5, calls_max)


def _numbers(channel: Any, count: int, delay_ms: int = 0, timeout: float | None = None) -> Any:
    stub = stub_b(channel)
    return stub.StreamNumbers(pspd_pb2.StreamRequest(count=count, delay_ms=delay_ms), timeout=timeout)


def _grpcurl(*arguments: str) -> str:
    return subprocess.run(["grpcurl", "-plaintext", *arguments], capture_output=True, text=True, timeout=20).stdout
