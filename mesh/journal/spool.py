"""The form of a spool's segments. Pure: bytes in, records out.

A segment is a run of frames; one frame is one record of the journal:

    "MLJ1"  CRC-32 of all that follows  length of the payload  payload (a MessagePack map)
    4       4, little endian            4, little endian

A frame without payload closes its segment: nothing will follow. The writer is mesh/journal/spool.lua; it only ever
appends. Reading stops at the first frame that is not whole, and never looks for another one behind it: what seems to be
a frame there may be the body of a request that says so.
"""

import zlib

MAGIC = b"MLJ1"
HEADER_BYTES = 12
PAYLOAD_BYTES = 1024 * 1024  # no record is longer: a body of 64 KiB and a dozen texts, each cut at 64 KiB
FRAME_BYTES = HEADER_BYTES + PAYLOAD_BYTES
END = b""  # the payload that closes a segment


def encode(payload: bytes) -> bytes:
    """One frame, as the filter writes it."""
    checked = len(payload).to_bytes(4, "little") + payload
    return MAGIC + zlib.crc32(checked).to_bytes(4, "little") + checked


def frames(data: bytes, limit: int | None = None) -> tuple[list[bytes], int, str | None]:
    """The payloads of the whole frames that `data` begins with (at most `limit`), the bytes that they take, and what is wrong behind them.

    Nothing is wrong (None) at the end of `data`, behind END and at the limit. A frame that is not complete yet looks like
    one that was cut off: who reads knows whether its writer is alive.
    """
    payloads: list[bytes] = []
    at = 0
    while at < len(data) and (limit is None or len(payloads) < limit):
        header = data[at : at + HEADER_BYTES]
        length = int.from_bytes(header[8:], "little")
        payload = data[at + HEADER_BYTES : at + HEADER_BYTES + length]
        if problem := _problem(header, length, payload):
            return payloads, at, problem
        payloads.append(payload)
        at += HEADER_BYTES + length
        if payload == END:
            break
    return payloads, at, None


def _problem(header: bytes, length: int, payload: bytes) -> str | None:
    if not MAGIC.startswith(header[:4]):
        return "no frame begins here"
    if len(header) < HEADER_BYTES:
        return f"cut off after {len(header)} bytes of a frame's header"
    if length > PAYLOAD_BYTES:
        return f"a frame claims {length} bytes"
    if len(payload) < length:
        return f"cut off after {len(payload)} of a frame's {length} bytes"
    if zlib.crc32(header[8:] + payload) != int.from_bytes(header[4:8], "little"):
        return "a frame's checksum is wrong"
    return None
