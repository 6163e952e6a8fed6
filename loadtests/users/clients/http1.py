"""JSON over HTTP/1.1, with httptools' parser on gevent's sockets.

Why not Locust's FastHttpUser or geventhttpclient: both send a call again on a new connection when the old one broke, without
a word; a comparison has to count that. And this costs 40 % of FastHttpUser's CPU a call, on cores that the mesh shares.
"""

from typing import Any

import httptools

from loadtests.users.clients.json import JsonClient, NotUnderstood, received
from loadtests.users.journeys import Call


class Http1Client(JsonClient):
    def __init__(self, host: str, port: int, **how: Any) -> None:
        super().__init__(host, port, **how)
        self._heads: dict[str, bytes] = {}  # route -> the request but for what differs

    def exchange(self, call: Call, traceparent: str) -> tuple[int, bytes, bool]:
        link, _ = self.connected()
        link.sendall(self._request(call, traceparent))
        answer = _Answer()
        try:
            while not answer.complete:
                answer.parser.feed_data(received(link))
        except httptools.HttpParserError:
            raise NotUnderstood("HTTP") from None
        return answer.status, b"".join(answer.pieces), answer.keeps_alive

    def _request(self, call: Call, traceparent: str) -> bytes:
        head = self._heads.get(call.route)
        if head is None:
            host, port = self.address
            lines = [f"{call.method} {call.target} HTTP/1.1", f"Host: {host}:{port}", "Accept: application/json"]
            lines += [f"Content-Length: {len(call.body)}", "Content-Type: application/json"] if call.body else []
            lines += [] if self.reuse else ["Connection: close"]
            head = self._heads[call.route] = "\r\n".join(lines).encode()
        return b"%s\r\ntraceparent: %s\r\n\r\n%s" % (head, traceparent.encode(), call.body)


class _Answer:
    """What httptools calls while it reads."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
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
