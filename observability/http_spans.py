"""A span for each sampled request of a Sanic server, by the semantic conventions for HTTP.

Rules: the span ends with the last byte of the answer, of a streamed one too (the ready-made package ends it with the
head); a client that leaves before ends it as well. A request that is not sampled costs one look at its header.
"""

from typing import Any, Final

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from sanic import HTTPResponse, Request, Sanic
from sanic.models.server_types import ConnInfo

from observability.telemetry import is_sampled, parent

_FIRST: Final = 100  # priority: what later middleware takes is part of the span


def add_spans(app: Sanic[Any, Any], tracer: Tracer) -> None:
    """Give every sampled request of `app` a span, which is kept on its connection until it ends."""

    async def begin(request: Request) -> None:
        traceparent = request.headers.getone("traceparent", "")
        if not is_sampled(traceparent) or request.conn_info is None:
            return
        context = parent(traceparent, request.headers.getone("tracestate", ""))
        if context is not None:
            attributes = _attributes(request)
            name = f"{request.method} {attributes['http.route']}" if "http.route" in attributes else request.method
            request.conn_info.ctx.span = tracer.start_span(name, context, SpanKind.SERVER, attributes)

    async def answered(request: Request, response: HTTPResponse) -> None:
        # for a streamed answer too Sanic says this after the handler has sent its last chunk; it also makes an answer
        # for a client that has left
        left = request.conn_info is not None and request.conn_info.lost
        _end(request.conn_info, None if left else response.status)

    async def closed(conn_info: ConnInfo) -> None:
        _end(conn_info, None)

    app.register_middleware(begin, "request", priority=_FIRST)
    app.add_signal(answered, "http.lifecycle.response")
    app.add_signal(closed, "http.lifecycle.complete")


def _attributes(request: Request) -> dict[str, str]:
    attributes = {
        "http.request.method": request.method,
        "url.scheme": request.scheme,
        "url.path": request.path,
        "network.protocol.version": request.version,
    }
    if request.query_string:
        attributes["url.query"] = request.query_string
    if request.route is not None:
        attributes["http.route"] = f"/{request.route.path.lstrip('/')}"
    return attributes


def _end(conn_info: ConnInfo | None, status: int | None) -> None:
    span: Span | None = getattr(conn_info.ctx, "span", None) if conn_info else None
    if conn_info is None or span is None:
        return
    conn_info.ctx.span = None
    if status is not None:
        span.set_attribute("http.response.status_code", status)
    if status is None or status >= 500:  # the errors of a client are its own
        span.set_attribute("error.type", "cancelled" if status is None else str(status))
        span.set_status(Status(StatusCode.ERROR))
    span.end()
