"""A bounded load of GETs over kept-alive connections, and what every single call came to."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int  # 0: the connection broke, and no answer came
    headers: dict[str, str]
    body: bytes
    begun: float  # time.time()
    seconds: float


@dataclass
class Load:
    """What has come back so far."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status != 200]

    def ids(self) -> set[str]:
        return {answer.headers["x-request-id"] for answer in self.answers if answer.status == 200}


@asynccontextmanager
async def load(port: int, path: str, *, clients: int = 8, pause: float = 0.0) -> AsyncIterator[Load]:
    """While the block runs, `clients` call `path` again and again; at its end those under way are awaited."""
    result, ended = Load(), asyncio.Event()
    tasks = [asyncio.create_task(_client(port, path, pause, result, ended)) for _ in range(clients)]
    try:
        yield result
    finally:
        ended.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 60)


async def get(port: int, path: str, headers: str = "") -> Answer:
    """One call on a connection of its own."""
    reader, writer = await asyncio.open_connection("localhost", port)
    try:
        return await _call(reader, writer, path, headers)
    finally:
        writer.close()


async def _client(port: int, path: str, pause: float, result: Load, ended: asyncio.Event) -> None:
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while not ended.is_set():
        begun = time.time()
        try:
            streams = streams or await asyncio.open_connection("localhost", port)
            answer = await asyncio.wait_for(_call(*streams, path, ""), 30)
            result.answers.append(answer)
            if answer.headers.get("connection") == "close":
                streams[1].close()
                streams = None
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            result.answers.append(Answer(0, {}, repr(error).encode(), begun, time.time() - begun))
            if streams:
                streams[1].close()
            streams = None
            await asyncio.sleep(0.02)
        await asyncio.sleep(pause)
    if streams:
        streams[1].close()


async def _call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, headers: str) -> Answer:
    begun = time.time()
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length[1])) if length else await _chunks(reader)
    said = dict(line.lower().split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:] if ": " in line)
    return Answer(int(head[9:12]), said, body, begun, time.time() - begun)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return body
