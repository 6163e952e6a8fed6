"""Applications that do on request what services should not: fail, hang, die, talk nonsense. Run as a process of its own:

    python -m edge.tests.misbehaving GRPC_PORT REST_PORT NAME

`name` says what is to happen to a call of A ("abort 14 no more", "sleep 3", "die", "deadline", "text 500 Traceback ...",
"json 400 {}", "pretend"); `delay_ms` says how a stream of B ends after `count` values: one of the endings below. REST answers by its own handlers.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

WELL, FAILS, DIES, HANGS, SAYS_NOTHING = 0, 1, 2, 3, 4
ME = sys.argv[3] if __name__ == "__main__" else ""
FAILURE = 'disk "C:\\" is full\n100% of 7 %41 ção {[}],'

pool = descriptor_pool.DescriptorPool()
contract = Path(__file__).parents[2] / "services/stubs/pspd.binpb"
for file in descriptor_pb2.FileDescriptorSet.FromString(contract.read_bytes()).file:
    pool.Add(file)


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"pspd.{name}"))


HelloRequest, HelloReply = _message("HelloRequest"), _message("HelloReply")
StreamRequest, NumberReply = _message("StreamRequest"), _message("NumberReply")
SERVER_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.server.max_pending_requests", 100_000),  # its own bound of 1,000 answers CANCELLED
    ("grpc.server.max_pending_requests_hard_limit", 300_000),
]
PRETENDED = {  # headers that are the edge's to set
    "x-request-id": "11111111-2222-4333-8444-555555555555",
    "x-trace-id": "f" * 32,
    "x-meshlog-position": "999",
    "x-meshlog-service": "another",
    "x-meshlog-version": "v9",
}
CODES = {code.value[0]: code for code in grpc.StatusCode}


async def say_hello(request: Any, context: Any) -> Any:
    verb, _, rest = request.name.partition(" ")
    if verb == "abort":
        code, _, sentence = rest.partition(" ")
        await context.abort(CODES[int(code)], sentence)
    if verb == "sleep":
        await asyncio.sleep(float(rest))
    if verb == "die":
        os._exit(1)
    if verb == "pretend":
        await context.send_initial_metadata(tuple(PRETENDED.items()))
    if verb == "deadline":
        return HelloReply(message=f"{context.time_remaining():.1f}")
    return HelloReply(message=ME)


async def stream_numbers(request: Any, context: Any) -> AsyncIterator[Any]:
    if request.delay_ms == SAYS_NOTHING:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "not today")
    for value in range(1, request.count + 1):
        yield NumberReply(value=value)
        await asyncio.sleep(0.1)
    if request.delay_ms == FAILS:
        await context.abort(grpc.StatusCode.INTERNAL, FAILURE)
    if request.delay_ms == DIES:
        os._exit(1)
    if request.delay_ms == HANGS:
        await asyncio.sleep(60)


def handlers() -> list[grpc.GenericRpcHandler]:
    a = grpc.unary_unary_rpc_method_handler(say_hello, HelloRequest.FromString, HelloReply.SerializeToString)
    b = grpc.unary_stream_rpc_method_handler(stream_numbers, StreamRequest.FromString, NumberReply.SerializeToString)
    return [
        grpc.method_handlers_generic_handler("pspd.ServiceA", {"SayHello": a}),
        grpc.method_handlers_generic_handler("pspd.ServiceB", {"StreamNumbers": b}),
    ]


async def rest_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One HTTP/1.1 connection of the REST twins."""
    while head := await _head(reader):
        target = head.split(" ", 2)[1]
        name = dict(parse_qsl(urlsplit(target).query)).get("name", "")
        verb, _, rest = name.partition(" ")
        status, kind, body = 200, "application/json", json.dumps({"message": ME})
        if verb == "abort":
            said, _, sentence = rest.partition(" ")
            status, body = int(said), json.dumps({"code": 3, "message": sentence, "details": [{"a": 'b",}'}]}, indent=1)
        if verb in ("text", "json"):
            said, _, body = rest.partition(" ")
            status, kind = int(said), {"text": "text/plain", "json": "application/json"}[verb]
        more = "".join(f"{header}: {value}\r\n" for header, value in PRETENDED.items()) if verb == "pretend" else ""
        if verb == "sleep":
            await asyncio.sleep(float(rest))
        if verb == "nonsense":
            writer.write(b"SMTP ready\r\n\r\n")
            break
        if verb == "die":
            os._exit(1)
        length = len(body.encode())
        answer = f"HTTP/1.1 {status} X\r\n{more}content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        writer.write(answer.encode())
        await writer.drain()
    writer.close()


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return ""


async def main(grpc_port: int, rest_port: int) -> None:
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers(handlers())
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    rest = await asyncio.start_server(rest_connection, "127.0.0.1", rest_port, backlog=4_096)
    print("ready", flush=True)
    await rest.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
