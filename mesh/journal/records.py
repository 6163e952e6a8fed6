"""What a record of the journal says, as an event. What cannot be read is UnreadableEvent and says why."""

import msgpack
import msgspec

from mesh.errors import UnreadableEvent
from mesh.events import CallAnswered, CallEvent, CallsLost, StreamEnded

TYPES: dict[str, type[CallEvent]] = {kind.__name__: kind for kind in (CallAnswered, StreamEnded, CallsLost)}


class _Named(msgspec.Struct):
    type: str


_NAME = msgspec.msgpack.Decoder(_Named)
_DECODERS = {name: msgspec.msgpack.Decoder(kind) for name, kind in TYPES.items()}


def call_event(payload: bytes) -> CallEvent:
    """The event that a frame's payload holds; keys that it does not know are ignored. Raises: UnreadableEvent.

    A path or a header may hold bytes that are no UTF-8: they become \\xff, which every reader of the log can print.
    """
    try:
        return _read(payload)
    except UnicodeDecodeError:
        return _read(_printable(payload))


def _read(payload: bytes) -> CallEvent:
    try:
        decoder = _DECODERS.get(_NAME.decode(payload).type)
    except msgspec.DecodeError as error:
        raise UnreadableEvent(
            f"a record of {len(payload)} bytes is not a MessagePack map with a type: {error}"
        ) from error
    if decoder is None:
        raise UnreadableEvent(f"a record of {len(payload)} bytes is of no type that a journal writes")
    try:
        return decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise UnreadableEvent(f"a record of {len(payload)} bytes has another shape than expected: {error}") from error


def _printable(payload: bytes) -> bytes:
    try:
        plain: bytes = msgpack.packb(msgpack.unpackb(payload, unicode_errors="backslashreplace"))
    except (ValueError, TypeError, msgpack.UnpackException) as error:  # the three that msgpack raises for bad input
        raise UnreadableEvent(f"a record of {len(payload)} bytes is not MessagePack: {error}") from error
    return plain
