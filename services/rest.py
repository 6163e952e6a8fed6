"""What the REST twins share: one Sanic server in one process, with the rules, errors and graceful end of the gRPC services.

Rules:
- Every error is JSON, google.rpc.Status as the edge's transcoder prints it; Sanic's own pages never reach a caller.
- One method; the body of a GET is read and ignored. A body over `body_bytes_max` (one mebibyte by default) is 413.
- No more than `calls_max` calls at once; /healthz answers even then, and says 503 while draining.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sanic import HTTPResponse, Request, Sanic
from sanic.application.state import ApplicationServerInfo
from sanic.exceptions import SanicException
from sanic.handlers import ErrorHandler
from sanic.http import Http
from sanic.http.constants import HTTP
from sanic.server import AsyncioServer

from observability.telemetry import Tracing
from services import process
from services.address import BACKLOG, Address, listening, released
from services.process import Options, Places
from services.status import INTERNAL, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, Status, as_json, status_of

BODY_BYTES_MAX: Final = 1_048_576
HEADERS_BYTES_MAX: Final = 98_304  # the edge takes 60 KiB and adds its own
SETTINGS: Final = {
    "REQUEST_MAX_HEADER_SIZE": HEADERS_BYTES_MAX,
    "REQUEST_BUFFER_SIZE": HEADERS_BYTES_MAX + 32_768,  # Sanic allows no head larger than the buffer
    "REQUEST_TIMEOUT": 30,  # seconds in which a request must arrive
    "RESPONSE_TIMEOUT": 330,  # above the longest answer of B, 300 s
    "KEEP_ALIVE_TIMEOUT": 300,  # above the sidecar's: the side that sends must be the one that closes
    "ACCESS_LOG": False,  # the journal is the edge's
}

# What is said where no handler of ours speaks: HTTP status -> google.rpc.Code and a sentence
_STATUSES: Final = {
    400: (INVALID_ARGUMENT, "the request is not HTTP as we understand it"),
    404: (5, "nothing is here"),
    405: (12, "this method is not answered here"),
    408: (4, "the request did not arrive in time"),
    413: (RESOURCE_EXHAUSTED, "the request is too large"),
    417: (INVALID_ARGUMENT, "that expectation cannot be met"),
    429: (RESOURCE_EXHAUSTED, "too many requests"),
    503: (14, "not now"),
}
_HTTP: Final = {INVALID_ARGUMENT: 400, RESOURCE_EXHAUSTED: 429, INTERNAL: 500}

Answer = Callable[[str, bytes], Awaitable[Mapping[str, Any]]]  # of a query string and a body


class RestServer:
    """One route of the contract on one address."""

    def __init__(self, server: AsyncioServer, places: Places, address: Address) -> None:
        self._server = server
        self.address = address
        self.places = places

    async def drain(self) -> None:
        self._server.app.ctx.draining = True
        self._server.close()  # type: ignore[no-untyped-call]
        connections = self._server.connections
        while connections:
            for connection in list(connections):
                if not connection.close_if_idle():
                    connection.http.keep_alive = False  # its answer says so, and is its last
            await asyncio.sleep(0.02)

    async def end(self) -> None:
        for connection in list(self._server.connections):
            connection.abort()
        released(self.address)


async def started(
    name: str,
    path: str,
    answer: Answer,
    options: Options,
    traces: Tracing | None,
    *,
    method: str = "GET",
    body_bytes_max: int = BODY_BYTES_MAX,
) -> RestServer:
    """A server that answers `method` of `path`. Raises: AddressUnusable."""
    listener = listening(options.listen)
    places = Places(options.calls_max)
    app = _sanic(name, path, answer, places, method, body_bytes_max)
    if traces:
        from observability.http_spans import add_spans

        add_spans(app, traces.tracer)
    server: Any = await app.create_server(
        sock=listener,
        backlog=BACKLOG,
        asyncio_server_kwargs={"start_serving": False},  # no call before the routes are made
    )
    await server.startup()
    await server.start_serving()
    address = options.listen if options.listen.path else Address(*listener.getsockname()[:2])
    return RestServer(server, places, address)


def _sanic(name: str, path: str, answer: Answer, places: Places, method: str, body_bytes_max: int) -> Sanic[Any, Any]:
    Http.HEADER_CEILING = HEADERS_BYTES_MAX  # Sanic's own, 16 KiB, would refuse what the gRPC path takes
    app: Sanic[Any, Any] = Sanic(
        name, error_handler=JsonErrors(), strict_slashes=True, configure_logging=False, env_prefix=None
    )
    app.config.update(SETTINGS | {"REQUEST_MAX_SIZE": body_bytes_max})
    # lets Sanic leave out the empty alt-svc header of servers that might speak HTTP/3
    app.state.server_info.append(ApplicationServerInfo(settings={"version": HTTP.VERSION_1}))
    app.ctx.draining = False

    async def call(request: Request) -> HTTPResponse:
        with places:
            return as_response(await answer(request.query_string, request.body))

    async def healthz(_: Request) -> HTTPResponse:
        if app.ctx.draining:
            return as_response({"status": "NOT_SERVING"}, 503)
        return as_response({"status": "SERVING"})

    app.add_route(call, path, methods=[method], name="call", ignore_body=False)
    app.add_route(healthz, "/healthz", methods=["GET"], name="healthz", ignore_body=False)
    return app


class JsonErrors(ErrorHandler):
    """Every error, Sanic's own included, as google.rpc.Status."""

    def default(self, request: Request, exception: BaseException) -> HTTPResponse:
        if isinstance(exception, SanicException):
            code, sentence = _STATUSES.get(exception.status_code, (INTERNAL, "internal error"))
            headers = dict(getattr(exception, "headers", None) or {})  # Allow, of a 405
            return as_response(as_json(Status(code, sentence)), exception.status_code, headers)
        if isinstance(exception, asyncio.CancelledError):  # nobody is there to read it
            return as_response(as_json(Status(1, "the client has left")), 499)
        status = status_of(exception)
        if status.code == INTERNAL:
            logging.getLogger(__name__).error("a call failed", exc_info=exception)
        return as_response(as_json(status), _HTTP[status.code])


def as_response(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    return HTTPResponse(msgspec.json.encode(body), status, dict(headers or {}), "application/json")


def main(
    name: str,
    default_listen: str,
    path: str,
    answer: Answer,
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    method: str = "GET",
    body_bytes_max: int = BODY_BYTES_MAX,
) -> int:
    """Answer `method` of `path` until a signal; the exit status."""

    def start(options: Options, traces: Tracing | None) -> Awaitable[RestServer]:
        return started(name, path, answer, options, traces, method=method, body_bytes_max=body_bytes_max)

    return process.main(name, default_listen, start, argv, environ)
