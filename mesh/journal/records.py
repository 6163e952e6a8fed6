"""What a record of the journal says, as an event. What cannot be read is UnreadableEvent and says why."""

import msgpack
import msgspec

from mesh.errors import UnreadableEvent
from mesh.events import CallAnswered, CallEvent, CallsLost, StreamEnded

TYPES: dict[str, type[CallEvent]] = {kind.__name__: kind for kind in (CallAnswered, StreamEnded, CallsLost)}


def call_event(payload: bytes) -> CallEvent:
    """The event that a frame's payload holds; keys that it does not know are ignored. Raises: UnreadableEvent.

    A path or a header may hold bytes that are no UTF-8: they become \\xff, which every reader of the log can print.
    """
    try:
        plain = msgpack.unpackb(payload, unicode_errors="backslashreplace")
    except (ValueError, TypeError, msgpack.UnpackException) as error:  # the three that msgpack raises for bad input
        raise UnreadableEvent(f"a record of {len(payload)} bytes is not MessagePack: {error}") from error
    name = plain.get("type") if isinstance(plain, dict) else None
    kind = TYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise UnreadableEvent(f"a record of {len(payload)} bytes is of no type that a journal writes")
    try:
        return msgspec.convert(plain, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise UnreadableEvent(f"a record of {kind.__name__} has another shape than expected: {error}") from error
