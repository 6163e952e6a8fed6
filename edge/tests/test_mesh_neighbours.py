"""One client's nonsense harms nobody else: the connections behind the edge are shared."""

import asyncio
import json

import grpc
import h2.connection
import pytest

from mesh.tests.load import get, load
from mesh.tests.meshes import Mesh
from services.stubs import pspd_pb2

pytestmark = pytest.mark.mesh

NONSENSE = [
    "GET /b/numbers?count=1 HTTP/1.1\r\nHost:\r\n\r\n",
    "GET /b/numbers?count=1 HTTP/1.1\r\nHost: u@x\r\n\r\n",
    "GET /b/numbers?count=1 HTTP/1.1\r\nHost: x\r\ngrpc-timeout: -1S\r\n\r\n",
    "GET /b/numbers?count=1 HTTP/1.1\r\nHost: x\r\ngrpc-timeout: garbage\r\n\r\n",
    "GET /b/numbers?count=1 HTTP/1.1\r\nHost: x\r\ngrpc-encoding: bogus\r\nx-foo-bin: !\r\n\r\n",
    "GET /b/numbers?count=1 HTTP/1.1\r\nHost: x\r\nTE: gzip\r\nExpect: 200-ok\r\nUpgrade: h2c\r\n\r\n",
]


async def test_streams_and_calls_of_others_go_on(mesh: Mesh) -> None:
    held = [asyncio.create_task(get(mesh.grpc, "/b/numbers?count=20&delay_ms=100")) for _ in range(10)]
    async with load(mesh.grpc, "/b/numbers?count=1", clients=4) as good:
        for _ in range(10):
            for request in NONSENSE:
                reader, writer = await asyncio.open_connection("localhost", mesh.grpc)
                writer.write(request.encode())
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                writer.close()
            await asyncio.sleep(0.1)
    assert [answer.status for answer in await asyncio.gather(*held)] == [200] * 10
    assert len(good.answers) > 20
    assert good.failed == []


async def test_a_native_client_whose_timeout_cannot_be_read_is_told_and_alone_in_that(mesh: Mesh) -> None:
    async with grpc.aio.insecure_channel(f"localhost:{mesh.grpc}") as channel:
        say = channel.unary_unary(
            "/pspd.ServiceA/SayHello",
            request_serializer=pspd_pb2.HelloRequest.SerializeToString,
            response_deserializer=pspd_pb2.HelloReply.FromString,
        )
        assert (await say(pspd_pb2.HelloRequest(name="x"))).message == "Olá, x! [A]"

    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    reader, writer = await asyncio.open_connection("localhost", mesh.grpc)
    headers = [
        (":method", "POST"),
        (":path", "/pspd.ServiceA/SayHello"),
        (":scheme", "http"),
        (":authority", "localhost"),
    ]
    headers += [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "-1S")]
    connection.send_headers(1, headers)
    connection.send_data(1, b"\0\0\0\0\0", end_stream=True)
    writer.write(connection.data_to_send())
    said: dict[bytes, bytes] = {}
    while b"grpc-status" not in said:
        for event in connection.receive_data(await asyncio.wait_for(reader.read(65536), 10)):
            said.update(getattr(event, "headers", None) or [])
    writer.close()
    assert said[b"grpc-status"] == b"3"
    answers = [json.loads((await get(mesh.grpc, "/a/hello?name=x")).body) for _ in range(40)]
    assert answers == [{"message": "Olá, x! [A]"}] * 40
