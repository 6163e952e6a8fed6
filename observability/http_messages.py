"""HTTP/1.1 requests out of bytes, and answers into bytes. No I/O.

Rules: headers and bodies are bounded, as packed and as unpacked; what is refused is told as google.rpc.Status.
"""

import json
import zlib
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import httptools

HEADER_BYTES = 16 * 1024
BODY_BYTES = 4 * 1024 * 1024  # as packed and as unpacked; what gRPC takes in one message

_CODES = {400: 3, 404: 5, 405: 12, 413: 8, 415: 3, 431: 8, 503: 14}  # google.rpc.Code by HTTP status; others: 13


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes
    keep_alive: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self, keep_alive: bool, head: bool) -> bytes:
        """As it is sent; the answer to HEAD has no body."""
        headers = {
            "content-type": self.content_type,
            "content-length": str(len(self.body)),
            "connection": "keep-alive" if keep_alive else "close",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else self.body)


class HttpError(Exception):
    """The request is refused."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers

    def response(self) -> Response:
        error = {"code": _CODES.get(self.status, 13), "message": self.message, "details": []}
        return Response(
            json.dumps(error, ensure_ascii=False).encode() + b"\n", "application/json", self.status, self.headers
        )


class Incoming:
    """The requests of one connection, one after the other. (The `on_` methods are what httptools' parser calls.)"""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._done: list[Request] = []
        self._reset()

    def _reset(self) -> None:
        self._url, self._headers, self._body = b"", dict[str, str](), bytearray()
        self._fed, self._header_bytes, self._in_body = 0, 0, False

    def next(self) -> Request | None:
        """The oldest request that is here as a whole and was not taken yet."""
        return self._done.pop(0) if self._done else None

    def wants_100(self) -> bool:
        """Does the client hold the body back until it is told to go on? (Once for each request.)"""
        return self._in_body and self._headers.pop("expect", "").lower() == "100-continue"

    def feed(self, data: bytes) -> None:
        """Take in what the client sent. Raises: HttpError, and then no other request can follow."""
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._done:
                self._done[-1].keep_alive = False  # we answer in HTTP/1.1 and close
        except httptools.HttpParserError as error:
            cause = error.__context__
            raise cause if isinstance(cause, HttpError) else HttpError(400, f"not HTTP/1.1: {error}") from None
        if not self._in_body and not self._done and self._fed > 2 * HEADER_BYTES:
            raise HttpError(431, f"the headers may have {HEADER_BYTES} bytes")  # one that never ends is not told

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self._count(len(name) + len(value))

    def _count(self, header_bytes: int) -> None:
        self._header_bytes += header_bytes
        if self._header_bytes > HEADER_BYTES:
            raise HttpError(431, f"the headers may have {HEADER_BYTES} bytes")

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > BODY_BYTES:
            raise HttpError(413, f"a body may have {BODY_BYTES} bytes")

    def on_message_complete(self) -> None:
        url = urlsplit(self._url.decode("latin-1"))
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        method = self._parser.get_method().decode()
        keep_alive = self._parser.should_keep_alive()
        self._done.append(Request(method, url.path, query, self._headers, bytes(self._body), keep_alive))
        self._reset()


def unpacked(request: Request) -> bytes:
    """The body without its content-encoding. Raises: HttpError."""
    match request.headers.get("content-encoding", "identity").strip().lower():
        case "identity" | "":
            return request.body
        case "gzip":
            unzip = zlib.decompressobj(wbits=31)
            try:
                body = unzip.decompress(request.body, BODY_BYTES + 1)
            except zlib.error as error:
                raise HttpError(400, f"the body is not gzip: {error}") from None
            if len(body) > BODY_BYTES:
                raise HttpError(413, f"a body may have {BODY_BYTES} bytes once it is unpacked")
            if not unzip.eof:
                raise HttpError(400, "the body's gzip ends too early")
            return body
        case other:
            raise HttpError(415, f"content-encoding {other!r} is not known here; use gzip or none")
