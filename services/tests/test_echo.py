"""Echo and its twin: the same payload back, whatever it is made of; the same bound; a body that says nothing they know is told so."""

import json
from typing import Any

import grpc
import httpx
import pytest

from services.stubs import echo_pb2
from services.tests.running import Started, stub_echo
from services.tests.test_twins import as_the_edge_prints

MOST = 1_000_000
SIZES = [0, 1, 10, 1_000, 100_000, MOST]
KINDS = [
    '"',
    "\\",
    "/",
    "<&>'",
    "a\nb\tc\r",
    "\0",
    "\x7f",
    "é",
    "名",
    "\u2028",
    "\ufeff",
    "\uffff",
    "😀",
    "e\u0301",
    "👩\u200d🚀",
]
TOO_LONG = ["x" * (MOST + 1), "é" * (MOST // 2 + 1), "😀" * (MOST // 4) + "x", "x" * (2 * MOST - 10)]
EMPTY = [b"", b"{}", b" {} ", b'{"payload":null}', b'{"payload":""}', b'{"other":[1]}', b'{"Payload":"a"}']
NOT_A_MESSAGE = [
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"payload=x",
    b"{}{}",
    b'{"payload":1}',
    b'{"payload":true}',
    b'{"payload":["a"]}',
    b'{"payload":{}}',
    b'{"payload":"\xff"}',
    b'{"payload":"\xed\xa0\x80"}',
    b'{"payload":"\\ud800"}',
    b'\xef\xbb\xbf{"payload":"a"}',
    b'{"payload":' + b"[" * 100_000,
    b'{"other":' + b"[" * 100_000,
]


@pytest.mark.parametrize("payload", ["x" * size for size in SIZES], ids=SIZES)
def test_twins_echo_every_size_up_to_the_bound(echo: Started, echo_rest: Started, payload: str) -> None:
    assert over_grpc(echo, payload) == payload
    answer = post(echo_rest, as_json(payload))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == as_json(payload)


@pytest.mark.parametrize("kind", KINDS, ids=ascii)
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "as it is"])
def test_every_character_survives_up_to_the_bound(echo: Started, echo_rest: Started, kind: str, escaped: bool) -> None:
    payload = kind * (MOST // len(kind.encode()))
    assert over_grpc(echo, payload) == payload
    answer = post(echo_rest, as_json(payload, escaped=escaped))
    assert (answer.status_code, answer.json()) == (200, {"payload": payload})


@pytest.mark.parametrize("payload", TOO_LONG, ids=len)
def test_twins_refuse_a_payload_over_the_bound_alike(echo: Started, echo_rest: Started, payload: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        over_grpc(echo, payload)
    answer = post(echo_rest, as_json(payload))
    assert answer.status_code == 400
    assert answer.json() == as_the_edge_prints(refused.value)
    given = f"{len(payload.encode()):,}"
    assert answer.json()["message"] == f"payload is at most 1,000,000 bytes of UTF-8; {given} were given"


def test_what_is_far_over_the_bound_is_not_even_read(echo: Started, echo_rest: Started) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        over_grpc(echo, "x" * 2 * MOST)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    answer = post(echo_rest, as_json("x" * 7 * MOST))
    assert (answer.status_code, answer.json()["code"]) == (413, 8)


@pytest.mark.parametrize("body", EMPTY)
def test_a_body_that_names_no_payload_means_the_empty_one(echo_rest: Started, body: bytes) -> None:
    answer = post(echo_rest, body)
    assert (answer.status_code, answer.json()) == (200, {"payload": ""})


@pytest.mark.parametrize("body", NOT_A_MESSAGE, ids=lambda body: ascii(body[:24]))
def test_what_is_no_such_json_is_told_so_in_the_one_form(echo_rest: Started, body: bytes) -> None:
    answer = post(echo_rest, body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
    said = answer.json()
    assert said["code"] == 3
    assert said["message"].startswith('the body is JSON in UTF-8, as in {"payload": "text"}; this one is not: ')
    (violation,) = said["details"][0]["field_violations"]
    assert violation["reason"] == "NOT_A_MESSAGE"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/echo", 405, 12), ("PUT", "/echo", 405, 12), ("POST", "/echo?foo=1", 400, 3), ("POST", "/nope", 404, 5)],
)
def test_only_a_post_of_the_route_is_answered(
    echo_rest: Started, method: str, path: str, status: int, code: int
) -> None:
    answer = httpx.request(method, f"{echo_rest.url}{path}", content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def as_json(payload: str, *, escaped: bool = False) -> bytes:
    return json.dumps({"payload": payload}, ensure_ascii=escaped, separators=(",", ":")).encode()


def over_grpc(echo: Started, payload: str) -> Any:
    with grpc.insecure_channel(echo.address) as channel:
        return stub_echo(channel).Echo(echo_pb2.EchoRequest(payload=payload), timeout=20).payload


def post(echo_rest: Started, body: bytes) -> httpx.Response:
    return httpx.post(f"{echo_rest.url}/echo", content=body, timeout=20)
