"""How errors, entries and limits cross the control API: one table for both sides.

The gRPC status says whose fault it was; the trailer `meshlog-error` names the class in mesh/errors.py, which the client
raises again with the same sentence.
"""

from collections.abc import Iterator

import grpc

from mesh import errors
from mesh.control.stubs import control_pb2
from mesh.errors import MeshError
from mesh.log.codec import decode, encode
from mesh.log.port import Entry

ERROR_TRAILER = "meshlog-error"
STATUS_OF = {  # the first class that an error is an instance of
    errors.Refused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ConcurrentAppend: grpc.StatusCode.ABORTED,
    errors.LogUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.UnreadableEvent: grpc.StatusCode.DATA_LOSS,
    errors.MeshError: grpc.StatusCode.INTERNAL,
}

REQUEST_BYTES_MAX = 4 * 1024 * 1024
REPLY_BYTES_MAX = 4 * REQUEST_BYTES_MAX  # a command becomes events that may repeat what it carried
SENTENCE_CHARACTERS_MAX = 1_000  # gRPC carries it in a header, escaped, and headers are limited to 8 KiB


def status_of(error: MeshError) -> grpc.StatusCode:
    return next(status for kind, status in STATUS_OF.items() if isinstance(error, kind))


def sentence(error: Exception) -> str:
    said = str(error)
    return said if len(said) <= SENTENCE_CHARACTERS_MAX else said[: SENTENCE_CHARACTERS_MAX - 1] + "…"


def error_named(name: str, said: str) -> MeshError | None:
    """The error that the other side raised; None: this meshlog knows no such class."""
    kind = _KINDS.get(name)
    if kind is None:
        return None
    return kind.__new__(kind, said)  # past __init__, which composes a sentence of its own


def entry_to_message(entry: Entry) -> control_pb2.Entry:
    return control_pb2.Entry(stream=entry.stream, position=entry.position, commit=encode(entry.commit))


def entry_from_message(message: control_pb2.Entry) -> Entry:
    """Raises: UnreadableEvent."""
    return Entry(message.stream, message.position, decode(message.commit))


def _kinds(kind: type[MeshError]) -> Iterator[type[MeshError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


_KINDS = {kind.__name__: kind for kind in _kinds(MeshError)}
