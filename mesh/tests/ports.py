"""Ports for tests: ranges below what the kernel gives to clients (32768 and up), one for each set of tests."""

import contextlib
import itertools
import random
import socket
from collections.abc import Callable


def ports(first: int, beyond: int) -> Callable[[], int]:
    """A function that hands out the ports of a range, one a call: one that nobody has, and not given out a moment ago.

    The order is another in every process, so that two test runs on one machine seldom meet.
    """
    shuffled = random.sample(range(first, beyond), beyond - first)
    endless = itertools.cycle(shuffled)

    def free_port() -> int:
        for port in itertools.islice(endless, len(shuffled)):
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                return port
        raise AssertionError(f"no port from {first} up to {beyond} is free")

    return free_port
