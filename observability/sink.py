"""Takes spans in by OTLP, keeps the newest traces in memory, and shows them. A process apart.

    python -m observability.sink --grpc 127.0.0.1:4317 --http 127.0.0.1:4318

    POST /v1/traces        OTLP/HTTP, protobuf or JSON, packed by gzip or not; the same over gRPC on the other port
    GET  /trace/<id>       the waterfall of one trace, for a person; as JSON with `Accept: application/json`
    GET  /traces?limit=20  the latest ones, a line about each, as JSON
    GET  /traces?ids=<id>,<id>   these, whole, as JSON; at most 100 in one question
    GET  /healthz          what it holds, and what it had to drop

Rules: it must never slow a call down or grow without end, so all is bounded and what does not fit is dropped and
counted. It keeps nothing on disk, and knows nothing of the mesh.
"""

import argparse
import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Callable

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # grpc's core reads it once; we say ourselves what went wrong

import grpc

from observability.errors import SinkError
from observability.http_messages import BODY_BYTES
from observability.http_server import HttpServer
from observability.routes import Routes, taken
from observability.traces import MAX_BYTES, MAX_SPANS, TraceStore

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
CALLS = 256  # exports at once


async def serve(
    grpc_address: str,
    http_address: str,
    *,
    store: TraceStore | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until cancelled. Raises: SinkError."""
    store = TraceStore() if store is None else store
    for address in (grpc_address, http_address):
        _must_be_free(address)
    grpc_server = _grpc_server(store, grpc_address)
    http_server = HttpServer(Routes(store).answer)
    host, port = host_and_port(http_address)
    try:
        await http_server.start(host, port)
        await grpc_server.start()
        ready()
        await asyncio.Event().wait()
    except OSError as error:
        raise SinkError(f"cannot listen on {http_address}: {error.strerror}") from error
    finally:
        await asyncio.gather(http_server.close(), grpc_server.stop(grace=0.1))


def _grpc_server(store: TraceStore, address: str) -> grpc.aio.Server:
    async def export(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            return taken(store.add(request)).SerializeToString()
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", BODY_BYTES)]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=CALLS)
    service, method = EXPORT[1:].split("/")
    # bytes in, bytes out
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {method: grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise SinkError(f"cannot listen on {address}") from error
    return server


def host_and_port(address: str) -> tuple[str, int]:
    """Raises: SinkError."""
    host, _, port = address.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise SinkError(f"an address is host:port; {address!r} is not")
    return host.strip("[]"), int(port)


def _must_be_free(address: str) -> None:
    """Raises: SinkError, with the reason that grpc keeps to itself."""
    host, port = host_and_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise SinkError(f"cannot listen on {address}: {error.strerror or error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m observability.sink", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--grpc", default="127.0.0.1:4317", metavar="HOST:PORT", help="where OTLP/gRPC is taken")
    parser.add_argument(
        "--http", default="127.0.0.1:4318", metavar="HOST:PORT", help="where OTLP/HTTP is taken, and the pages are"
    )
    parser.add_argument(
        "--max-spans", type=int, default=MAX_SPANS, help="the newest that are kept (default: %(default)s)"
    )
    parser.add_argument("--max-bytes", type=int, default=MAX_BYTES, help="what they may take (default: %(default)s)")
    wanted = parser.parse_args()

    async def run() -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101 - asyncio runs this in a task
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        store = TraceStore(wanted.max_spans, wanted.max_bytes)
        said = f"taking spans in on {wanted.grpc} (gRPC) and http://{wanted.http}; traces are at http://{wanted.http}/traces"
        await serve(wanted.grpc, wanted.http, store=store, ready=lambda: print(said, flush=True))  # noqa: T201

    try:
        asyncio.run(run())
    except SinkError as error:
        print(f"sink: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        pass  # told to end
    return 0


if __name__ == "__main__":
    sys.exit(main())
