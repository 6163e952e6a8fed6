"""Every error that leaves the edge has the one form, whoever made it: edge, sidecar or service, on both paths."""

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import grpc
import pytest

from edge.errors import ANSWERS
from edge.tests.given import Ports, a_mesh
from edge.tests.misbehaving import HelloReply, HelloRequest
from edge.tests.running import Curled, RunningEdge, running_edge

PROBLEM = ("-H", "accept: application/problem+json")
PATHS = ("grpc", "rest")


def ask(edge: RunningEdge, asked: str, path: str, *arguments: str) -> Curled:
    return edge.curl(path, *arguments, port=getattr(edge.ports, asked))


def status_of(answer: Curled) -> dict[str, Any]:
    """The google.rpc.Status in an answer, which has no other form."""
    assert answer.headers["content-type"] == "application/json"
    said: dict[str, Any] = json.loads(answer.body)
    assert list(said) == ["code", "message", "details"]
    assert type(said["code"]) is int
    assert said["message"]
    assert isinstance(said["details"], list)
    return said


def sentence(status: int, flag: str = "") -> str:
    return next(answer.sentence for answer in ANSWERS if (answer.status, answer.flag) == (status, flag))


@pytest.mark.parametrize("asked", PATHS)
def test_an_unknown_path_is_404_and_says_what_there_is(misled: RunningEdge, asked: str) -> None:
    answer = ask(misled, asked, "/nowhere")
    said = status_of(answer)
    assert (answer.status, said["code"]) == (404, 5)
    assert "GET /a/hello" in said["message"]


@pytest.mark.parametrize("asked", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_is_405_and_says_which_is_allowed(misled: RunningEdge, asked: str, method: str) -> None:
    answer = ask(misled, asked, "/a/hello", "-X", method)
    assert (answer.status, status_of(answer)["code"], answer.headers["allow"]) == (405, 12, "GET")


@pytest.mark.parametrize("asked", PATHS)
def test_an_answer_that_takes_too_long_is_504(misled: RunningEdge, asked: str) -> None:
    answer = ask(misled, asked, "/a/hello?name=sleep+5")
    assert (answer.status, status_of(answer)["code"]) == (504, 4)


@pytest.mark.parametrize("asked", PATHS)
@pytest.mark.parametrize("path", ["/a/hello", "/b/numbers"])
def test_a_service_that_is_not_there_is_503_without_a_word_on_connections(asked: str, path: str) -> None:
    ports = Ports(21580)
    with running_edge(a_mesh(ports, grpc_apps=[ports.nobody], rest_apps=[ports.nobody])) as edge:
        answer = ask(edge, asked, path)
        assert answer.status == 503
        assert status_of(answer) == {"code": 14, "message": sentence(503, "UF"), "details": []}


@pytest.mark.parametrize("asked", PATHS)
def test_a_service_without_workloads_is_503(asked: str) -> None:
    with running_edge(a_mesh(Ports(21580))) as edge:
        answer = ask(edge, asked, "/a/hello")
        assert answer.status == 503
        assert status_of(answer) == {"code": 14, "message": sentence(503), "details": []}


def test_an_error_of_a_grpc_service_keeps_its_code_and_message(misled: RunningEdge) -> None:
    answer = misled.curl("/a/hello?name=abort+3+%22Ana%22+is+%5C+%25+%3C")
    assert answer.status == 400
    assert answer.headers["grpc-status"] == "3"  # for the journal
    assert status_of(answer) == {"code": 3, "message": '"Ana" is \\ % <', "details": []}


def test_an_error_of_a_rest_twin_keeps_its_details_however_it_is_written(misled: RunningEdge) -> None:
    answer = misled.curl("/a/hello?name=abort+400+%22Ana%22+is+%5C+%25+%3C", port=misled.ports.rest)
    assert status_of(answer) == {"code": 3, "message": '"Ana" is \\ % <', "details": [{"a": 'b",}'}]}


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [("text+500+Traceback+(most+recent+call+last)", 500, 13), ("text+503+", 503, 14), ("text+418+no+coffee", 418, 2)],
)
def test_text_from_inside_is_replaced_by_the_form(misled: RunningEdge, said: str, status: int, code: int) -> None:
    answer = misled.curl(f"/a/hello?name={said}", port=misled.ports.rest)
    assert (answer.status, status_of(answer)["code"]) == (status, code)
    assert "Traceback" not in answer.body


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"code": "NOT_FOUND", "message": "no Ana"}, {"code": 3, "message": "no Ana", "details": []}),
        ({"message": "no Ana", "details": {}}, {"code": 3, "message": "no Ana", "details": []}),
        ({"code": 5, "message": {"en": "no Ana"}}, {"code": 5, "message": sentence(400), "details": []}),
        ({"error": "no Ana"}, {"code": 3, "message": sentence(400), "details": []}),
        (["no Ana"], {"code": 3, "message": sentence(400), "details": []}),
    ],
)
def test_json_of_another_form_is_brought_into_the_form(misled: RunningEdge, said: Any, told: dict[str, Any]) -> None:
    query = urlencode({"name": f"json 400 {json.dumps(said)}"})
    assert status_of(misled.curl(f"/a/hello?{query}", port=misled.ports.rest)) == told


def test_an_answer_that_is_not_http_is_502(misled: RunningEdge) -> None:
    answer = misled.curl("/a/hello?name=nonsense", port=misled.ports.rest)
    assert (answer.status, status_of(answer)["message"]) == (502, sentence(502))


@pytest.mark.parametrize("talk", ["upstream+connect+error+or+disconnect", "no+healthy+upstream", "RBAC:+access+denied"])
def test_a_sidecars_talk_about_connections_stays_inside(misled: RunningEdge, talk: str) -> None:
    answer = misled.curl(f"/a/hello?name=abort+14+{talk}")
    assert (answer.status, status_of(answer)["message"]) == (503, sentence(503))
    with pytest.raises(grpc.RpcError) as failure:
        say_hello(misled, f"abort 14 {talk.replace('+', ' ')}")
    assert (failure.value.code(), failure.value.details()) == (grpc.StatusCode.UNAVAILABLE, sentence(503))


PROBLEMS = {
    "an unknown path": ("/nowhere", (), 404, "Not Found", 5),
    "a wrong method": ("/a/hello", ("-X", "POST"), 405, "Method Not Allowed", 12),
    "an error of the service": ("/a/hello?name=abort+{status}+no", (), 400, "Bad Request", 3),
    "no answer in time": ("/a/hello?name=sleep+5", (), 504, "Gateway Timeout", 4),
}


@pytest.mark.parametrize("asked", PATHS)
@pytest.mark.parametrize("case", PROBLEMS)
def test_problem_json_is_for_who_asks_for_it(misled: RunningEdge, asked: str, case: str) -> None:
    path, arguments, status, title, code = PROBLEMS[case]
    path = path.format(status=3 if asked == "grpc" else 400)
    answer = ask(misled, asked, path, *arguments, *PROBLEM)
    said = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert list(said) == ["type", "title", "status", "detail", "code", "details"]
    assert (answer.status, said["status"], said["title"], said["code"]) == (status, status, title, code)
    assert said["detail"]


def test_an_old_protocol_is_refused_in_the_one_form(misled: RunningEdge) -> None:
    answer = misled.curl("/a/hello", "-0")
    assert (answer.status, status_of(answer)["code"]) == (426, 3)


def test_who_asks_for_problem_json_gets_good_answers_as_ever(misled: RunningEdge) -> None:
    assert misled.curl("/a/hello", *PROBLEM).headers["content-type"] == "application/json"


def say_hello(edge: RunningEdge, name: str, path: str = "/pspd.ServiceA/SayHello", **options: Any) -> str:
    with grpc.insecure_channel(f"localhost:{edge.ports.grpc}") as channel:
        call = channel.unary_unary(path, HelloRequest.SerializeToString, HelloReply.FromString)
        return str(call(HelloRequest(name=name), **options).message)


@pytest.mark.parametrize(
    ("name", "path", "code", "message"),
    [
        ("", "/pspd.ServiceA/Nothing", grpc.StatusCode.UNIMPLEMENTED, "there is no such path"),
        ("", "/pspd.ServiceC/SayHello", grpc.StatusCode.UNIMPLEMENTED, "there is no such path"),
        ("sleep 5", "/pspd.ServiceA/SayHello", grpc.StatusCode.DEADLINE_EXCEEDED, ""),
        ("abort 5 nobody here", "/pspd.ServiceA/SayHello", grpc.StatusCode.NOT_FOUND, "nobody here"),
    ],
)
def test_native_clients_get_errors_of_grpc(
    misled: RunningEdge, name: str, path: str, code: grpc.StatusCode, message: str
) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        say_hello(misled, name, path)
    assert failure.value.code() is code
    said = failure.value.details() or ""
    assert said.startswith(message)
    assert "{" not in said


@pytest.mark.parametrize("asked", PATHS)
def test_a_native_client_that_keeps_asking_what_is_not_there_is_not_kept_waiting(
    misled: RunningEdge, asked: str
) -> None:
    with grpc.insecure_channel(f"localhost:{getattr(misled.ports, asked)}") as channel:
        call = channel.stream_stream("/x.Y/Z", HelloRequest.SerializeToString, HelloReply.FromString)
        with pytest.raises(grpc.RpcError) as failure:
            next(call(_endless(), timeout=1))
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


def _endless() -> Iterator[Any]:
    yield HelloRequest()
    time.sleep(1.5)


def test_native_clients_hear_in_a_sentence_that_a_service_is_not_there() -> None:
    ports = Ports(21580)
    with running_edge(a_mesh(ports, grpc_apps=[ports.nobody])) as edge, pytest.raises(grpc.RpcError) as failure:
        say_hello(edge, "Ana")
    assert (failure.value.code(), failure.value.details()) == (grpc.StatusCode.UNAVAILABLE, sentence(503, "UF"))


def test_a_service_learns_how_long_it_has(misled: RunningEdge) -> None:
    """What the route gives, or the client if that is less."""
    assert json.loads(misled.curl("/a/hello?name=deadline").body) == {"message": "2.0"}
    assert say_hello(misled, "deadline", timeout=1) == "1.0"


def test_answers_of_the_table_are_sentences_for_clients() -> None:
    for answer in ANSWERS:
        assert answer.sentence
        assert '"' not in answer.sentence  # it stands in Lua and JSON as it is
        assert "%" not in answer.sentence
        assert "upstream" not in answer.sentence
