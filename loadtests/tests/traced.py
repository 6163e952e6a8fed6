"""A client that has each of its calls traced, one after the other on one connection."""

import asyncio
import os
import re
import time

from loadtests.model.measurements import TracedCall

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


async def traced_calls(
    port: int, target: str, calls: int, every_seconds: float = 0.0, first: int = 5
) -> list[TracedCall]:
    """`calls` calls, one begun every `every_seconds`, after `first` that do not count. Fails unless each is answered by 200."""
    made = []
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for _ in range(first + calls):
                due = time.monotonic() + every_seconds
                made.append(await _call(reader, writer, target))
                await asyncio.sleep(due - time.monotonic())
        finally:
            writer.close()
    return made[first:]


async def _call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> TracedCall:
    trace_id = os.urandom(16).hex()
    traceparent = f"00-{trace_id}-{os.urandom(8).hex()}-01"
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\ntraceparent: {traceparent}\r\n\r\n".encode()
    begun_ns, begun = time.time_ns(), time.perf_counter_ns()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    assert length, head
    await reader.readexactly(int(length[1]))
    latency_us = (time.perf_counter_ns() - begun) // 1000
    assert head[9:12] == b"200", head
    return TracedCall(trace_id, target.partition("?")[0], begun_ns, latency_us)
