"""Hosts that are no mesh."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def hanging_up() -> Iterator[str]:
    """A host that reads what a client says first, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:

        def hang_up() -> None:
            with contextlib.suppress(OSError):  # the listener is closed
                while True:
                    connection, _ = listener.accept()
                    connection.settimeout(0.2)
                    with connection, contextlib.suppress(OSError):
                        connection.recv(65536)

        threading.Thread(target=hang_up, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that takes connections and never says a word: the kernel does that, up to the backlog."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
