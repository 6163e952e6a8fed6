"""Where a workload listens: "127.0.0.1:50051", "[::1]:50051", "unix:app.sock" (relative paths are fine).

Rule: an address that somebody else has is refused in one sentence that names the owner where we may know it; nothing is
ever shared (no SO_REUSEPORT) or taken over, but for the socket file of a process that is gone.
"""

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BACKLOG = 4_096  # connections that wait to be taken; 3,200 clients may come at once


class AddressUnusable(Exception):
    """Nobody can listen there now; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str = ""
    port: int = 0
    path: str = ""  # of a unix socket; then host and port are empty

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parsed(text: str) -> Address:
    """The address that `text` names. Raises: ValueError."""
    if text.startswith("unix:") and len(text) > len("unix:"):
        return Address(path=text.removeprefix("unix:"))
    host, _, port = text.rpartition(":")
    if not host or not 0 <= int(port) <= 65_535:
        raise ValueError(text)
    return Address(host=host.strip("[]"), port=int(port))


def claimed(address: Address) -> None:
    """Make sure that `address` can be had by a server that binds it itself.

    gRPC's core takes the socket file of a living process over, and names neither port nor reason where it cannot listen.
    Raises: AddressUnusable.
    """
    listening(address).close()
    released(address)


def listening(address: Address) -> socket.socket:
    """A socket that listens at `address`; a port 0 becomes a free one.

    Raises: AddressUnusable.
    """
    try:
        return _unix_socket(address.path) if address.path else _tcp_socket(address)
    except OSError as error:
        raise AddressUnusable(_sentence(address, error)) from error


def released(address: Address) -> None:
    """Leave no socket file behind."""
    if address.path:
        with suppress(FileNotFoundError):
            Path(address.path).unlink()


def _tcp_socket(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)


def _unix_socket(path: str) -> socket.socket:
    _remove_if_abandoned(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_if_abandoned(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return  # somebody's file: bind says so
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()


def _sentence(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is taken{_by_whom(address)}; choose another with --listen"
    return f"cannot listen on {address}: {error.strerror or error}"


def _by_whom(address: Address) -> str:
    import psutil  # 30 ms that only a failure costs

    if address.path:
        return " by a process that answers there"
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("inet"):
            here = connection.laddr and connection.laddr.port == address.port
            if here and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return " by a process of somebody else"
