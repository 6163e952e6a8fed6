"""A small HTTP/1.1 server for a process that must stay light: httptools' parser on asyncio's streams.

Rules: connections, waiting and what one client may hold are bounded; every answer has a length. (Sanic in the same
process costs 10 MB more, and http.server knows no chunked bodies.)
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from observability.http_messages import HttpError, Incoming, Request, Response

CONNECTIONS = 128
CHUNK_BYTES = 65_536
REQUEST_SECONDS = 10.0  # for a whole request to arrive, and for an answer to be taken
IDLE_SECONDS = 75.0  # between two requests: longer than exporters pause

Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Serves `handler` at one address until closed."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Raises: OSError."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=CHUNK_BYTES)

    async def close(self) -> None:
        if self._server:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101 - asyncio runs this in a task
        self._connections.add(task)
        try:
            if len(self._connections) > CONNECTIONS:
                await _send(writer, HttpError(503, f"{CONNECTIONS} connections are open already").response(), False)
            else:
                await self._serve(reader, writer)
        except (TimeoutError, OSError, asyncio.CancelledError):
            pass  # the client has gone, is too slow, or we are closing
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming = Incoming()
        keep_alive = True
        while keep_alive:
            request = None
            try:
                request = await _next(incoming, reader, writer)
                if request is None:
                    return
                response = await self._handler(request)
            except HttpError as error:
                response = error.response()
            keep_alive = request is not None and request.keep_alive
            await _send(writer, response, keep_alive, head=request is not None and request.method == "HEAD")
        with contextlib.suppress(TimeoutError):
            await _linger(reader)


async def _next(incoming: Incoming, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request, or None when the client has gone. Raises: HttpError, TimeoutError."""
    if request := incoming.next():
        return request
    data = await asyncio.wait_for(reader.read(CHUNK_BYTES), IDLE_SECONDS)
    async with asyncio.timeout(REQUEST_SECONDS):
        while data:
            incoming.feed(data)
            if request := incoming.next():
                return request
            if incoming.wants_100():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = await reader.read(CHUNK_BYTES)
    return None


async def _send(writer: asyncio.StreamWriter, response: Response, keep_alive: bool, head: bool = False) -> None:
    writer.write(response.encoded(keep_alive, head))
    async with asyncio.timeout(REQUEST_SECONDS):
        await writer.drain()
        if not keep_alive and writer.can_write_eof():
            writer.write_eof()


async def _linger(reader: asyncio.StreamReader) -> None:
    """Let the client read our answer: closing while it still sends would take the answer away from it."""
    async with asyncio.timeout(1):
        while await reader.read(CHUNK_BYTES):
            pass
