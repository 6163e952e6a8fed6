"""JSON over HTTP/1.1, with httptools' parser on gevent's sockets.

Why not Locust's FastHttpUser or geventhttpclient: both send a call again on a new connection when the old one broke, without
a word; a comparison has to count that. And this costs 40 % of FastHttpUser's CPU a call, on cores that the mesh shares.
"""

import errno
import os

import gevent
import httptools
from gevent import socket

from loadtests.users.clients import CallFailed
from loadtests.users.clients.answers import Looker
from loadtests.users.journeys import Call

RECEIVE_BYTES = 65_536


class Http1Client:
    def __init__(self, host: str, port: int, *, timeout_seconds: float, reuse: bool = True) -> None:
        self._address = (host, port)
        self._timeout_seconds = timeout_seconds
        self._reuse = reuse
        self._socket: socket.socket | None = None
        self._looker = Looker()
        self._heads: dict[str, bytes] = {}  # route -> the request but for what differs

    def call(self, call: Call, traceparent: str) -> int:
        answer = _Answer()
        try:
            with gevent.Timeout(self._timeout_seconds, TimeoutError):
                self._exchange(self._request(call, traceparent), answer)
        except TimeoutError:
            self.close()
            raise CallFailed("timeout") from None
        except OSError as error:
            self.close()
            raise CallFailed(cause(error)) from None
        except httptools.HttpParserError:
            self.close()
            raise CallFailed("answer is not HTTP") from None
        except BaseException:  # the user is stopped in the middle of a call
            self.close()
            raise
        if not self._reuse or not answer.keeps_alive:
            self.close()
        body = b"".join(answer.pieces)
        self._looker.look(call, answer.status, body)
        return len(body)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes, answer: "_Answer") -> None:
        if self._socket is None:
            self._socket = socket.create_connection(self._address)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        parser = answer.parser = httptools.HttpResponseParser(answer)
        while not answer.complete:
            received = self._socket.recv(RECEIVE_BYTES)
            if not received:
                raise ConnectionResetError(errno.ECONNRESET, "closed")
            parser.feed_data(received)

    def _request(self, call: Call, traceparent: str) -> bytes:
        head = self._heads.get(call.route)
        if head is None:
            host, port = self._address
            lines = [f"{call.method} {call.target} HTTP/1.1", f"Host: {host}:{port}", "Accept: application/json"]
            lines += [f"Content-Length: {len(call.body)}", "Content-Type: application/json"] if call.body else []
            lines += [] if self._reuse else ["Connection: close"]
            head = self._heads[call.route] = "\r\n".join(lines).encode()
        return b"%s\r\ntraceparent: %s\r\n\r\n%s" % (head, traceparent.encode(), call.body)


class _Answer:
    """What httptools calls while it reads."""

    def __init__(self) -> None:
        self.parser: httptools.HttpResponseParser
        self.pieces: list[bytes] = []
        self.status = 0
        self.keeps_alive = True
        self.complete = False

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.keeps_alive = self.parser.should_keep_alive()
        self.complete = True


def cause(error: OSError) -> str:
    """In words that are the same for every call that fails so: "connection refused", "connection reset"."""
    match error.errno:
        case errno.ECONNREFUSED:
            return "connection refused"
        case errno.ECONNRESET | errno.EPIPE:
            return "connection reset"
        case None:
            return type(error).__name__
        case number:
            return os.strerror(number).lower()
