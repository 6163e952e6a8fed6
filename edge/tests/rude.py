"""Clients below HTTP's good manners: bytes on a socket, and HTTP/2 a frame at a time."""

import socket

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from edge.tests.running import RunningEdge

STREAMS_MAX = 20_000


def connected(edge: RunningEdge, asked: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", getattr(edge.ports, asked)), timeout=10)


def raw(edge: RunningEdge, asked: str, request: bytes) -> bytes:
    """All that comes back on a connection of its own."""
    with connected(edge, asked) as client:
        answer = b""
        try:
            client.sendall(request)
            while part := client.recv(65_536):
                answer += part
        except ConnectionError:
            pass  # it said what it had to, and left
        return answer


def http2(edge: RunningEdge, asked: str) -> tuple[h2.connection.H2Connection, socket.socket]:
    client = connected(edge, asked)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False))
    connection.initiate_connection()
    client.sendall(connection.data_to_send())
    return connection, client


def get(*more: tuple[str, str]) -> list[tuple[str, str]]:
    return [(":method", "GET"), (":path", "/a/hello"), (":scheme", "http"), (":authority", "x"), *more]


def uploaded(edge: RunningEdge, asked: str, size: int) -> tuple[int, bytes]:
    """Status and body of the answer to an upload by HTTP/2. (curl loses an answer that comes before its upload ends.)"""
    connection, client = http2(edge, asked)
    status, body, sent = 0, b"", 0
    connection.send_headers(1, get())
    with client:
        while True:
            try:
                while sent < size and (room := min(connection.local_flow_control_window(1), 16_384)) > 0:
                    connection.send_data(1, b"x" * room)
                    sent += room
            except h2.exceptions.StreamClosedError:
                return status, body
            client.sendall(connection.data_to_send())
            for event in connection.receive_data(client.recv(65_536)):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                    return status, body


def resets_until_thrown_out(edge: RunningEdge, asked: str) -> int:
    """How many streams one connection may open and reset at once before the edge ends it; at most STREAMS_MAX."""
    connection, client = http2(edge, asked)
    with client:
        for number in range(STREAMS_MAX):
            stream = 2 * number + 1
            connection.send_headers(stream, get(), end_stream=True)
            connection.reset_stream(stream)
            try:
                client.sendall(connection.data_to_send())
            except ConnectionError:
                return number
    return STREAMS_MAX


def is_refused(edge: RunningEdge, asked: str, headers: list[tuple[str, str]]) -> bool:
    """Whether a request with `headers` is reset, or its connection ended, and no service sees it."""
    connection, client = http2(edge, asked)
    with client:
        connection.send_headers(1, headers, end_stream=True)
        client.sendall(connection.data_to_send())
        try:
            while part := client.recv(65_536):
                for event in connection.receive_data(part):
                    if isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                        return True
                    if isinstance(event, h2.events.ResponseReceived):
                        return False
        except (ConnectionError, h2.exceptions.ProtocolError):
            pass
    return True
