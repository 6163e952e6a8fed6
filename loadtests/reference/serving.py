"""What the reference's four servers share: their arguments, their one line, and how each kind serves.

    python -m loadtests.reference.a [--port 50051] [--end-with-stdin]

Rules: 127.0.0.1 only; port 0 becomes a free one; one line says where it listens. With --end-with-stdin the process ends when
its standard input closes, which it does when whoever started it is gone. Served as the original did: ten threads for gRPC,
FastAPI's own for REST; no bounds, no health, no tracing. None of this is how Meshlog's own services are served.
"""

import argparse
import os
import resource
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from services.address import Address, AddressUnusable, claimed, listening

WORKERS = 10  # the original's: the eleventh call waits until one of ten has slept through all its pauses


def serve_grpc(name: str, default_port: int, add: Callable[[grpc.Server], None], argv: Sequence[str]) -> int:
    """Answer the service that `add` registers until a signal comes; the exit status."""
    address = _address(name, default_port, argv)
    # so_reuseport: or two servers would share the port without a word
    server = grpc.server(ThreadPoolExecutor(max_workers=WORKERS), options=[("grpc.so_reuseport", 0)])
    add(server)
    try:
        claimed(address)  # gRPC says neither why it cannot listen nor who does
        port = server.add_insecure_port(str(address))
    except (AddressUnusable, RuntimeError) as error:
        return _failed(name, str(error).partition(";")[0])
    server.start()
    _tell(name, port)
    server.wait_for_termination()
    return 0


def serve_rest(
    name: str, default_port: int, routes: Mapping[str, Callable[..., Mapping[str, Any]]], argv: Sequence[str]
) -> int:
    """Answer `routes`, path to plain function, until a signal comes; the exit status."""
    address = _address(name, default_port, argv)
    try:
        import fastapi
        import uvicorn
    except ImportError as error:
        return _failed(name, f"{error.name} is not installed: pip install 'meshlog[reference]'")
    app = fastapi.FastAPI()
    for path, answer in routes.items():
        app.get(path, response_model=None)(answer)  # what it returns is not validated: the original declared no model
    try:
        listener = listening(address)
    except AddressUnusable as error:
        return _failed(name, str(error).partition(";")[0])
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (files_max, files_max)
    )  # a container has plenty; 3,200 users need as many
    _tell(name, listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(app)).run(sockets=[listener])
    return 0


def _address(name: str, default_port: int, argv: Sequence[str]) -> Address:
    parser = argparse.ArgumentParser(prog=f"python -m loadtests.reference.{name.replace('-', '_')}", allow_abbrev=False)
    parser.add_argument("--port", type=int, default=default_port, help="on 127.0.0.1; 0 is a free one [%(default)s]")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input closes")
    given = parser.parse_args(argv)
    if not 0 <= given.port <= 65_535:
        parser.error(f"a port is 0 to 65535; {given.port} was given")
    if given.end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    return Address(host="127.0.0.1", port=given.port)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # at once: threads that sleep would hold an orderly exit up


def _tell(name: str, port: int) -> None:
    print(f"{name} listens on 127.0.0.1:{port}", flush=True)  # noqa: T201 - its one line


def _failed(name: str, reason: str) -> int:
    print(f"{name}: {reason}", file=sys.stderr)  # noqa: T201 - what a user reads who starts it by hand
    return 1
