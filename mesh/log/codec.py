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
    """A commit as it is written: its events are not read yet."""

    id: str
    command_id: str
    actor: str
    reason: str
    at_us: int
    events: list[msgspec.Raw]


class _Named(msgspec.Struct):
    """The one thing to be known of an event before it can be read."""

    type: str


# typed decoders read twice as fast as the plain form and a conversion of it; every call of the mesh passes here twice
_RECORD = msgspec.msgpack.Decoder(_Record)
_NAME = msgspec.msgpack.Decoder(_Named)
_EVENTS = {name: msgspec.msgpack.Decoder(kind) for name, kind in EVENT_TYPES.items()}
_COMMANDS = {name: msgspec.msgpack.Decoder(kind) for name, kind in COMMAND_TYPES.items()}


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
    record = _read(raw, _RECORD, "a commit")
    events = tuple(decode_event(event) for event in record.events)
    return Commit(record.id, record.command_id, record.actor, record.reason, record.at_us, events)


def encode_command(command: Command) -> bytes:
    """Raises: Refused, if no control plane could read it."""
    try:
        return _packed(_to_plain(command))
    except (ValueError, OverflowError) as error:
        raise Refused(f"{type(command).__name__} cannot be sent: {error}") from error


def decode_command(raw: bytes) -> Command:
    """Raises: UnreadableEvent."""
    return _read_named(raw, _COMMANDS, "command")


def decode_event(raw: bytes | msgspec.Raw) -> Event:
    """Raises: UnreadableEvent."""
    return _read_named(raw, _EVENTS, "event")


def event_to_plain(event: Event) -> Plain:
    """A map of the event's type and fields. Bytes stay bytes."""
    return _to_plain(event)


def _packed(plain: Plain) -> bytes:
    packed: bytes = msgpack.packb(plain)
    return packed


def _to_plain(value: Event | Command) -> Plain:
    fields = msgspec.to_builtins(value, builtin_types=(bytes,))  # else msgspec turns bytes into base64 text
    return {"type": type(value).__name__, **fields}


def _read_named(raw: bytes | msgspec.Raw, decoders: dict[str, msgspec.msgpack.Decoder[Value]], what: str) -> Value:
    try:
        name = _NAME.decode(raw).type
    except (ValueError, RecursionError) as error:
        raise UnreadableEvent(f"this {what} has no type; {_sentence(error)}") from error
    if name not in decoders:
        raise UnreadableEvent(f"no {what} is of type {name!r} here; was it written by a newer meshlog?")
    return _read(raw, decoders[name], name)


def _read(raw: bytes | msgspec.Raw, decoder: msgspec.msgpack.Decoder[Value], what: str) -> Value:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise UnreadableEvent(f"{what} has another shape than expected; {_sentence(error)}") from error
    except (ValueError, RecursionError) as error:  # no MessagePack, or text that is no UTF-8
        raise UnreadableEvent(f"{len(raw)} bytes should be {what} and cannot be read: {error}") from error


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:] + "; was it written by a newer meshlog?"
