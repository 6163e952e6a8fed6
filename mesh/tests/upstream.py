"""What stands behind the Envoy of the journal's tests (journaled.py): answers of every kind, well and badly ended."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from mesh.tests.ports import ports

free_port = ports(23_000, 23_500)


class Upstream:
    """What stands behind Envoy: HTTP/1.1 by hand, so that it can misbehave, and gRPC as the contract has it."""

    http_port: int
    grpc_port: int


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    here = Upstream()
    here.http_port, here.grpc_port = free_port(), free_port()
    http = await asyncio.start_server(_serve_http, "127.0.0.1", here.http_port)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((_handlers(),))
    server.add_insecure_port(f"127.0.0.1:{here.grpc_port}")
    await server.start()
    try:
        yield here
    finally:
        http.close()
        await server.stop(0)


def number(value: int) -> bytes:
    """pspd.NumberReply{value}"""
    return b"\x08" + bytes([value])


def _handlers() -> grpc.GenericRpcHandler:
    async def hello(request: bytes, context: Any) -> bytes:
        return b"\x0a\x02hi"

    async def numbers(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for value in (1, 2, 3):
            yield number(value)
            await asyncio.sleep(0.1)
        if request:  # any field set: fail in the middle
            await context.abort(grpc.StatusCode.INTERNAL, "as asked")

    same = {"request_deserializer": None, "response_serializer": None}
    return _Both(
        {
            "/pspd.ServiceA/SayHello": grpc.unary_unary_rpc_method_handler(hello, **same),
            "/pspd.ServiceB/StreamNumbers": grpc.unary_stream_rpc_method_handler(numbers, **same),
        }
    )


class _Both(grpc.GenericRpcHandler):
    def __init__(self, methods: dict[str, Any]) -> None:
        self.methods = methods

    def service(self, handler_call_details: Any) -> Any:
        return self.methods.get(handler_call_details.method)


async def _serve_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.split(b":")[1]))
                elif line.startswith(b"transfer-encoding:"):
                    while int(size := await reader.readuntil(b"\r\n"), 16):
                        await reader.readexactly(int(size, 16) + 2)
                    await reader.readexactly(2)
            path = head.split(b" ", 2)[1].split(b"?")[0].decode()
            kind, pieces = _ANSWERS.get(path, _ANSWERS["/hello"])
            if kind is None:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
                continue
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
            for piece in pieces:
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0.1)
            if path == "/cut":
                break
            writer.write(b"0\r\n\r\n")
    writer.close()


_ANSWERS: dict[str, tuple[str | None, list[bytes]]] = {
    "/hello": (None, []),
    "/array": ("application/json", [b'[{"a":"],[', b'\\"x,y"},', b'{"b":[1,2]},', b"3 ", b"]"]),
    "/object": ("application/json", [b'{"values":', b"[1,2,3]}"]),
    "/lines": ("application/x-ndjson", [b'{"value":1}\n{"va', b'lue":2}', b'\n{"value":3}\n']),
    "/events": ("text/event-stream", [b"data: 1\n", b"\ndata: 2\n\ndata: 3\n", b"\n"]),
    "/page": ("text/html", [b"<p>", b"</p>"]),
    "/cut": ("application/json", [b"[1,", b"2,"]),
}
