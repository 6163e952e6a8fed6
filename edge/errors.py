"""The one form of every error that leaves the edge: google.rpc.Status as JSON, with a sentence that says what happened.

    {"code": 5, "message": "there is no such path; there are GET /, GET /a/hello", "details": []}

ANSWERS is the table: what Envoy answers by itself (status and response flag), and what we say then. Rules: the first
line that fits counts; a sentence is written for the client and names nothing from inside the mesh; `own_text` passes on
what a filter or route of the edge wrote for the client, where it wrote something. A native gRPC client gets the same
sentence as grpc-message. errors.lua, which gets the same table, says it of answers that come from inside the mesh as
text, and turns all of it into application/problem+json for who asks for that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from mesh.xds.messages import message

# google.rpc.Code
UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = 2, 3, 4, 5
PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 7, 8, 12, 13, 14, 16


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    code: int
    sentence: str
    flag: str = ""  # Envoy's response flag; empty: any
    own_text: bool = False


ANSWERS = (
    Answer(
        400,
        INVALID_ARGUMENT,
        "the request is not valid HTTP; are characters outside ASCII percent-encoded?",
        own_text=True,
    ),
    Answer(401, UNAUTHENTICATED, "who is calling is not known"),
    Answer(403, PERMISSION_DENIED, "this call is not allowed"),
    Answer(404, NOT_FOUND, "there is no such path", own_text=True),
    Answer(405, UNIMPLEMENTED, "this path answers to another method", own_text=True),
    Answer(408, DEADLINE_EXCEEDED, "the request took too long to arrive"),
    Answer(413, RESOURCE_EXHAUSTED, "the body of the request is larger than this edge takes"),
    Answer(426, INVALID_ARGUMENT, "this edge speaks HTTP/1.1 and HTTP/2"),
    Answer(429, RESOURCE_EXHAUSTED, "too many calls; try again later"),
    Answer(431, RESOURCE_EXHAUSTED, "the headers of the request are larger or more than this edge takes"),
    Answer(500, INTERNAL, "something failed behind the edge; there is no answer to give"),
    Answer(501, UNIMPLEMENTED, "this edge does not know how to do that"),
    Answer(502, UNAVAILABLE, "the service gave an answer that is not valid HTTP"),
    Answer(503, UNAVAILABLE, "the service cannot be reached; try again later", flag="UF"),
    Answer(503, UNAVAILABLE, "the service cannot be reached; try again later", flag="UH"),
    Answer(503, UNAVAILABLE, "the service is taking as many calls as it may; try again later", flag="UO"),
    Answer(503, UNAVAILABLE, "the service broke the call off before it answered", flag="UC"),
    Answer(503, UNAVAILABLE, "the service broke the call off before it answered", flag="UR"),
    Answer(503, UNAVAILABLE, "the service is not available; try again later"),
    Answer(504, DEADLINE_EXCEEDED, "the service did not answer in time"),
)
OTHERWISE = Answer(0, UNKNOWN, "the edge could not serve this call")

ENVOYS_TEXT = "%LOCAL_REPLY_BODY%"


def local_replies() -> Any:
    """The LocalReplyConfig of both listeners: ANSWERS, for HTTP and for native gRPC."""
    mappers = [_as_it_is()]
    for answer in ANSWERS:
        mappers += [_mapper(answer, _native_grpc(), _text(answer)), _mapper(answer, [], _json(answer))]
    return message("envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig")(
        mappers=mappers, body_format=_json(OTHERWISE)
    )


def answers_as_lua() -> Iterator[str]:
    """ANSWERS where no flag is known, as Lua's table of that name: an answer from inside the mesh has a status and nothing else to say."""
    yield "local ANSWERS = {"
    for answer in (*ANSWERS, OTHERWISE):
        if not answer.flag:
            title = HTTPStatus(answer.status).phrase if answer.status else "Error"
            yield f'  [{answer.status}] = {{code = {answer.code}, title = "{title}", message = "{answer.sentence}"}},'
    yield "}"


def _mapper(answer: Answer, conditions: list[dict[str, Any]], body_format: dict[str, Any]) -> dict[str, Any]:
    conditions = [_status_is(answer.status), *conditions]
    if answer.flag:
        conditions.append({"response_flag_filter": {"flags": [answer.flag]}})
    return {
        "filter": {"and_filter": {"filters": conditions}} if len(conditions) > 1 else conditions[0],
        "body_format_override": body_format,
    }


def _as_it_is() -> dict[str, Any]:
    """Page and health are local replies too: they leave as their routes wrote them."""
    return {
        "filter": _status_is(200),
        "body_format_override": {"text_format_source": {"inline_string": ENVOYS_TEXT}},
    }


def _json(answer: Answer) -> dict[str, Any]:
    form = message("google.protobuf.Struct")()
    form.update({"code": answer.code, "message": ENVOYS_TEXT if answer.own_text else answer.sentence, "details": []})
    return {"json_format": form, "content_type": "application/json"}


def _text(answer: Answer) -> dict[str, Any]:
    """For grpc-message."""
    return {"text_format_source": {"inline_string": ENVOYS_TEXT if answer.own_text else answer.sentence}}


def _status_is(status: int) -> dict[str, Any]:
    return {
        "status_code_filter": {
            "comparison": {"op": "EQ", "value": {"default_value": status, "runtime_key": "edge.answers.unused"}}
        }
    }


def _native_grpc() -> list[dict[str, Any]]:
    """The client speaks gRPC itself: the transcoder, which makes every request look so, has not been here."""
    return [
        _header({"name": "content-type", "string_match": {"prefix": "application/grpc"}}),
        _header({"name": "x-envoy-original-path", "present_match": False}),
    ]


def _header(match: dict[str, Any]) -> dict[str, Any]:
    return {"header_filter": {"header": match}}
