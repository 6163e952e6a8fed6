"""What the process of every workload does alike, whatever it serves: arguments, address, signals, the bound of calls.

    python -m services.a [--listen 127.0.0.1:50051 | unix:app.sock] [--drain-seconds 10] [--max-calls 8192]

Rules: one line on stderr says where it listens. An address that cannot be had is one sentence and exit status 1.
SIGTERM or SIGINT: no new calls, those in flight get `drain_seconds` to end; a second signal ends them; exit status 0.
Only __main__ reads the environment, and hands it over.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import uvloop

from observability.telemetry import TelemetryUnusable, Tracing, tracing
from services.address import Address, AddressUnusable, parsed
from services.status import TooManyCalls

CALLS_MAX = 8_192  # as the edge's limit of requests per service; 3,200 clients at once are a case of ours
DRAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    listen: Address
    drain_seconds: float
    calls_max: int


class Places:
    """How many calls are being answered, and no more than so many."""

    def __init__(self, calls_max: int) -> None:
        self.calls_max = calls_max
        self.taken = 0
        self._left = asyncio.Event()

    def __enter__(self) -> None:
        if self.taken >= self.calls_max:
            raise TooManyCalls(self.calls_max)
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1
        if not self.taken:
            self._left.set()

    async def empty(self) -> None:
        """Return when nobody is being answered."""
        while self.taken:
            self._left.clear()
            await self._left.wait()


class Running(Protocol):
    """A server that answers calls."""

    @property
    def address(self) -> Address: ...

    async def drain(self) -> None:
        """Take no new calls; return when those in flight have ended."""

    async def end(self) -> None:
        """End at once, whatever is in flight."""


Start = Callable[[Options, Tracing | None], Awaitable[Running]]  # raises AddressUnusable


def main(
    name: str,
    default_listen: str,
    start: Start,
    argv: Sequence[str],
    environ: Mapping[str, str],
) -> int:
    """Run one workload until a signal ends it; its exit status."""
    options = _options(name, default_listen, argv)
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format=f"%(asctime)s {name} %(levelname)s %(message)s"
    )
    os.umask(0o077)  # the socket it makes is for its own user alone
    traces: Tracing | None = None
    try:
        traces = tracing(f"pspd-{name}", environ)
        uvloop.run(_live(name, start, options, traces))
    except (AddressUnusable, TelemetryUnusable) as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - what a user reads who starts it by hand
        return 1
    finally:
        if traces:
            traces.close()
    return 0


async def _live(name: str, start: Start, options: Options, traces: Tracing | None) -> None:
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    running = await start(options, traces)
    print(f"{name} listens on {running.address}", file=sys.stderr, flush=True)  # noqa: T201 - its one line
    await signals.get()
    drained, again = asyncio.create_task(running.drain()), asyncio.create_task(signals.get())
    await asyncio.wait({drained, again}, timeout=options.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
    drained.cancel()
    again.cancel()
    await running.end()


def _options(name: str, default_listen: str, argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog=f"python -m services.{name.replace('-', '_')}", allow_abbrev=False)
    parser.add_argument(
        "--listen", type=_address, default=parsed(default_listen), help="host:port or unix:path [%(default)s]"
    )
    parser.add_argument("--drain-seconds", type=float, default=DRAIN_SECONDS, help="for calls in flight [%(default)s]")
    parser.add_argument("--max-calls", type=int, default=CALLS_MAX, help="answered at once [%(default)s]")
    given = parser.parse_args(argv)
    return Options(given.listen, given.drain_seconds, given.max_calls)


def _address(text: str) -> Address:
    try:
        return parsed(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither host:port nor unix:path") from None
