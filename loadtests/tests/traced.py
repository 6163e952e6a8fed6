"""A client that has each of its calls traced, one after the other on one connection."""

import asyncio
import os
import re
import time

from loadtests.measurements import TracedCall

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


async def traced_calls(port: int, target: str, calls: int, *, first: int = 5, sampled: float = 1.0) -> list[TracedCall]:
    """`calls` calls, after `first` that do not count (connections are made). Fails unless each is answered with 200.

    sampled: the share that is traced, spread evenly; the others come back without a trace id.
    """
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            made = [
                await _call(reader, writer, target, int(n * sampled) != int((n + 1) * sampled))
                for n in range(first + calls)
            ]
        finally:
            writer.close()
    return made[first:]


async def _call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, sampled: bool) -> TracedCall:
    trace_id = os.urandom(16).hex()
    traceparent = f"00-{trace_id}-{os.urandom(8).hex()}-{'01' if sampled else '00'}"
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\ntraceparent: {traceparent}\r\n\r\n".encode()
    begun_ns, begun = time.time_ns(), time.perf_counter_ns()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    assert length, head
    await reader.readexactly(int(length[1]))
    latency_us = (time.perf_counter_ns() - begun) // 1000
    assert head[9:12] == b"200", head
    return TracedCall(trace_id if sampled else "", target.partition("?")[0], begun_ns, latency_us)
