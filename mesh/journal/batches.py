"""What of a file goes into the log as one commit.

A batch is a function of the file's bytes, of where it begins and of where it must end: made again from the same ones, it
holds the same events. That is what makes a repeated append harmless.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mesh.errors import UnreadableEvent
from mesh.events import CallEvent, CallsLost
from mesh.journal.accesslog import call_finished
from mesh.journal.records import call_event
from mesh.journal.sources import Source, opened_us
from mesh.journal.spool import END, FRAME_BYTES, HEADER_BYTES, MAGIC, frames

BATCH_BYTES = 512 * 1024  # as text that is no UTF-8 grows fourfold, still less than a gRPC message may have (4 MiB)
BATCH_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Batch:
    events: tuple[CallEvent, ...]
    begin: int
    end: int  # the offset that the file is shipped to with this batch
    last: bool  # nothing will ever follow

    @property
    def moves(self) -> bool:
        return self.end > self.begin

    @property
    def is_full(self) -> bool:
        """Whether it is about as much as a batch may be, so that more is likely to wait behind it."""
        return len(self.events) >= BATCH_EVENTS or 2 * (self.end - self.begin) > BATCH_BYTES


def next_batch(source: Source, begin: int, end: int | None = None) -> Batch:
    """What stands in the file from `begin` on; no further than `end`, if a batch that ended there was sent before."""
    read = _read_segment if source.is_segment else _read_access_log
    descriptor = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        stop = size if end is None else min(size, end)
        return read(source, lambda length: os.pread(descriptor, min(length, stop - begin), begin), begin, size)
    finally:
        os.close(descriptor)


def _read_segment(source: Source, read: Callable[[int], bytes], begin: int, size: int) -> Batch:
    payloads, consumed, problem = frames(read(BATCH_BYTES), BATCH_EVENTS)
    if problem and not consumed:  # a long frame, or none
        payloads, consumed, problem = frames(read(FRAME_BYTES), 1)
    if consumed:
        ended = payloads[-1] == END
        events = tuple(_event(source.path, payload) for payload in payloads if payload != END)
        end = begin + consumed - ended * HEADER_BYTES  # END stays ahead: who begins there finds that it is the last
        return Batch(events, begin, end, last=ended or (source.over and end == size))
    if problem and source.over:
        lost = _lost(source.path, f"{size - begin} bytes: {problem}", _frames_begun(source.path, begin))
        return Batch((lost,), begin, size, last=True)
    return Batch((), begin, begin, last=source.over)  # what is not whole yet is waited for


def _read_access_log(source: Source, read: Callable[[int], bytes], begin: int, size: int) -> Batch:
    data = read(BATCH_BYTES)
    lines = data.split(b"\n")[:-1][:BATCH_EVENTS]
    consumed = sum(len(line) + 1 for line in lines)
    if not lines and len(data) == BATCH_BYTES:
        consumed = BATCH_BYTES  # no line of ours is that long
    events = tuple(event for event in map(call_finished, lines) if event is not None)
    whole = begin + consumed == size or not consumed  # a line that is not finished now never will be
    return Batch(events, begin, begin + consumed, last=source.over and whole)


def _event(path: Path, payload: bytes) -> CallEvent:
    try:
        return call_event(payload)
    except UnreadableEvent as error:
        return _lost(path, str(error), 1)


def _lost(path: Path, reason: str, count: int) -> CallsLost:
    return CallsLost(
        opened_us(path), path.stat().st_mtime_ns // 1000, count, f"{path.parent.name}/{path.name}: {reason}"
    )


def _frames_begun(path: Path, begin: int) -> int:
    """How many records seem to have been there: the best count there is of what cannot be read."""
    found, tail = 0, b""
    with path.open("rb") as file:
        file.seek(begin)
        while chunk := file.read(FRAME_BYTES):
            found += (tail + chunk).count(MAGIC)
            tail = chunk[1 - len(MAGIC) :]
    return max(1, found)
