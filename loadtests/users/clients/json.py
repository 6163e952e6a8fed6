"""What the JSON clients have in common: one connection, a time limit, every failure with its cause."""

import errno
import os
from abc import ABC, abstractmethod

import gevent
from gevent import socket

from loadtests.users.clients import CallFailed
from loadtests.users.clients.answers import Looker
from loadtests.users.journeys import Call

RECEIVE_BYTES = 65_536


class NotUnderstood(Exception):
    """What came back is not the protocol that was spoken; the text says which it should have been."""


class JsonClient(ABC):
    def __init__(self, host: str, port: int, *, timeout_seconds: float, reuse: bool = True) -> None:
        self.address = (host, port)
        self.reuse = reuse
        self._timeout_seconds = timeout_seconds
        self._socket: socket.socket | None = None
        self._looker = Looker()

    @abstractmethod
    def exchange(self, call: Call, traceparent: str) -> tuple[int, bytes, bool]:
        """Status and body of the answer, and whether the connection may be used again. Raises: OSError, NotUnderstood."""

    def call(self, call: Call, traceparent: str) -> int:
        try:
            with gevent.Timeout(self._timeout_seconds, TimeoutError):
                status, body, keeps_alive = self.exchange(call, traceparent)
        except TimeoutError:
            self.close()
            raise CallFailed("timeout") from None
        except OSError as error:
            self.close()
            raise CallFailed(cause(error)) from None
        except NotUnderstood as error:
            self.close()
            raise CallFailed(f"answer is not {error}") from None
        except BaseException:  # the user is stopped in the middle of a call
            self.close()
            raise
        if not self.reuse or not keeps_alive:
            self.close()
        self._looker.look(call, status, body)
        return len(body)

    def connected(self) -> tuple[socket.socket, bool]:
        """The connection, and whether it is new. Raises: OSError."""
        if self._socket is not None:
            return self._socket, False
        self._socket = socket.create_connection(self.address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket, True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def received(link: socket.socket) -> bytes:
    """What has come, at least a byte. Raises: OSError, where the other side has closed."""
    data: bytes = link.recv(RECEIVE_BYTES)
    if not data:
        raise ConnectionResetError(errno.ECONNRESET, "closed")
    return data


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
