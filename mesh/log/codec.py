"""The form that commits and commands have in the log and on the wire: MessagePack maps.

Rules:
- a commit is {id, command_id, actor, reason, at_us, events: [{"type": "TrafficShifted", ...its fields}]};
- a type's name is a storage format; every shape ever written stays readable (mesh/tests/samples);
- a field that an old record lacks has its default; a field that this meshlog does not know is ignored;
- what cannot be read is UnreadableEvent and says why: never a guess, never a half-filled event.
"""

from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import msgpack
import msgspec

from mesh.commands import Command
from mesh.errors import Refused, UnreadableEvent
from mesh.events import Event
from mesh.log.port import Commit

EVENT_TYPES: dict[str, type[Event]] = {kind.__name__: kind for kind in get_args(Event)}
COMMAND_TYPES: dict[str, type[Command]] = {kind.__name__: kind for kind in get_args(Command)}

Plain = dict[str, Any]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Record:
    """A commit as it is written: its events are still plain."""

    id: str
    command_id: str
    actor: str
    reason: str
    at_us: int
    events: list[Plain]


def encode(commit: Commit) -> bytes:
    """Raises: UnreadableEvent, if nobody could read what would be written (text that is not Unicode, a number over 64 bits)."""
    record = {
        "id": commit.id,
        "command_id": commit.command_id,
        "actor": commit.actor,
        "reason": commit.reason,
        "at_us": commit.at_us,
        "events": [event_to_plain(event) for event in commit.events],
    }
    try:
        return _packed(record)
    except (ValueError, OverflowError) as error:
        raise UnreadableEvent(f"commit {commit.id!r} cannot be written: {error}") from error


def decode(raw: bytes) -> Commit:
    """Raises: UnreadableEvent."""
    record = _converted(_unpacked(raw, "a commit"), _Record, "a commit")
    events = tuple(event_from_plain(plain) for plain in record.events)
    return Commit(record.id, record.command_id, record.actor, record.reason, record.at_us, events)


def encode_command(command: Command) -> bytes:
    """Raises: Refused, if no control plane could read it."""
    try:
        return _packed(_to_plain(command))
    except (ValueError, OverflowError) as error:
        raise Refused(f"{type(command).__name__} cannot be sent: {error}") from error


def decode_command(raw: bytes) -> Command:
    """Raises: UnreadableEvent."""
    return _from_plain(_unpacked(raw, "a command"), COMMAND_TYPES, "command")


def event_to_plain(event: Event) -> Plain:
    """A map of the event's type and fields. Bytes stay bytes."""
    return _to_plain(event)


def event_from_plain(plain: Plain) -> Event:
    """Raises: UnreadableEvent."""
    return _from_plain(plain, EVENT_TYPES, "event")


def _packed(plain: Plain) -> bytes:
    packed: bytes = msgpack.packb(plain)
    return packed


def _unpacked(raw: bytes, what: str) -> Any:
    try:
        return msgpack.unpackb(raw)
    except (ValueError, TypeError, msgpack.UnpackException) as error:  # the three that msgpack raises for bad input
        raise UnreadableEvent(f"{len(raw)} bytes should be {what} and are not MessagePack: {error}") from error


def _to_plain(value: Event | Command) -> Plain:
    fields = msgspec.to_builtins(value, builtin_types=(bytes,))  # else msgspec turns bytes into base64 text
    return {"type": type(value).__name__, **fields}


def _from_plain(plain: Any, types: dict[str, type[Value]], what: str) -> Value:
    if not isinstance(plain, dict) or not isinstance(plain.get("type"), str):
        raise UnreadableEvent(f"this {what} has no type: {str(plain)[:100]}")
    name = plain["type"]
    if name not in types:
        raise UnreadableEvent(f"no {what} is of type {name!r} here; was it written by a newer meshlog?")
    return _converted(plain, types[name], name)


def _converted(plain: Any, kind: type[Value], name: str) -> Value:
    try:
        return msgspec.convert(plain, kind, builtin_types=(bytes,))
    except (msgspec.ValidationError, ValueError) as error:
        raise UnreadableEvent(f"{name} has another shape than expected; {_sentence(error)}") from error


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:] + "; was it written by a newer meshlog?"
