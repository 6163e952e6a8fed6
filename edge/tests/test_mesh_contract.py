"""The contract, as users meet it: curl and grpcurl against the whole mesh."""

import asyncio
import json
import subprocess
import time

import pytest

from mesh.tests.load import get
from mesh.tests.meshes import Mesh

pytestmark = pytest.mark.mesh


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?name=Edilberto", "Edilberto"),
        ("", "mundo"),
        ("?name=", "mundo"),
        ("?name=Jo%C3%A3o+da+Silva", "João da Silva"),
    ],
)
def test_both_paths_greet_whoever_is_named(mesh: Mesh, query: str, named: str) -> None:
    assert json.loads(mesh.curl(f"/a/hello{query}").stdout) == {"message": f"Olá, {named}! [A]"}
    assert json.loads(mesh.curl(f"/a/hello{query}", port=mesh.rest).stdout) == {"message": f"Olá, {named}! [A-REST]"}


@pytest.mark.parametrize("host", ["pspd.local", "localhost", "127.0.0.1"])
def test_the_grpc_path_answers_by_its_host_name_and_by_localhost(mesh: Mesh, host: str) -> None:
    assert "[A]" in mesh.curl("/a/hello", "-H", f"Host: {host}").stdout


def test_the_rest_path_answers_by_its_host_name(mesh: Mesh) -> None:
    assert "[A-REST]" in mesh.curl("/a/hello", "-H", "Host: pspd-rest.local", port=mesh.rest).stdout


def test_a_stream_arrives_value_by_value(mesh: Mesh) -> None:
    """The first of ten values is there long before the last."""
    url = f"http://localhost:{mesh.grpc}/b/numbers?count=10&delay_ms=100"
    with subprocess.Popen(["curl", "-sSN", url], stdout=subprocess.PIPE) as curl:
        assert curl.stdout
        begun, body = time.monotonic(), curl.stdout.read1(64)  # type: ignore[attr-defined]
        first = time.monotonic() - begun
        body += curl.stdout.read()
        whole = time.monotonic() - begun
    assert json.loads(body) == [{"value": value} for value in range(1, 11)]
    assert whole > 1.0  # the pause follows every value, the last included
    assert first < whole / 2


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 5), ("?count=0", 5), ("?count=-1", 5), ("?count=10&delay_ms=5", 10), ("?count=1&delay_ms=-3", 1)],
)
def test_both_paths_count_alike(mesh: Mesh, query: str, count: int) -> None:
    wanted = list(range(1, count + 1))
    assert [element["value"] for element in json.loads(mesh.curl(f"/b/numbers{query}").stdout)] == wanted
    assert json.loads(mesh.curl(f"/b/numbers{query}", port=mesh.rest).stdout) == {"values": wanted}


@pytest.mark.parametrize("port", ["grpc", "rest"])
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/a/hello?name={'x' * 10_240}", 400, 3),
        ("/b/numbers?count=1000000000", 400, 3),
        ("/b/numbers?count=many", 400, 3),
        ("/b/numbers?count=10000&delay_ms=31", 400, 3),
        ("/a/hello?nome=Edilberto", 400, 3),
        ("/c/unknown", 404, 5),
    ],
)
def test_bad_input_is_told_as_json_with_the_right_status(
    mesh: Mesh, port: str, path: str, status: int, code: int
) -> None:
    answer = asyncio.run(get(getattr(mesh, port), path))
    said = json.loads(answer.body)
    assert (answer.status, said["code"]) == (status, code)
    assert said["message"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("port", ["grpc", "rest"])
def test_a_wrong_method_is_told_which_one_is_right(mesh: Mesh, port: str) -> None:
    answer = mesh.curl("/a/hello", "-i", "-X", "DELETE", port=getattr(mesh, port)).stdout
    assert "405" in answer.splitlines()[0]
    assert "allow: GET" in answer


@pytest.mark.parametrize("port", ["grpc", "rest"])
def test_every_answer_says_its_request_id_and_trace_id(mesh: Mesh, port: str) -> None:
    answers = [asyncio.run(get(getattr(mesh, port), path)) for path in ("/a/hello", "/nowhere", "/healthz", "/")]
    ids = {(answer.headers["x-request-id"], answer.headers["x-trace-id"]) for answer in answers}
    assert len(ids) == len(answers)


def test_a_client_cannot_choose_the_id_of_its_call(mesh: Mesh) -> None:
    """It is the key of the journal."""
    answer = asyncio.run(get(mesh.grpc, "/a/hello", "x-request-id: mine\r\n"))
    assert answer.headers["x-request-id"] != "mine"


@pytest.mark.tool("grpcurl")
def test_grpcurl_lists_and_calls_all_services_by_reflection(mesh: Mesh) -> None:
    def grpcurl(*arguments: str) -> str:
        return subprocess.run(
            ["grpcurl", "-plaintext", *arguments], capture_output=True, text=True, timeout=30, check=True
        ).stdout

    edge = f"localhost:{mesh.grpc}"
    assert {"pspd.ServiceA", "pspd.ServiceB"} <= set(grpcurl(edge, "list").split())
    assert "SayHello" in grpcurl(edge, "describe", "pspd.ServiceA")
    assert json.loads(grpcurl("-d", '{"name":"Edilberto"}', edge, "pspd.ServiceA/SayHello")) == {
        "message": "Olá, Edilberto! [A]"
    }
    assert grpcurl("-d", '{"count":3}', edge, "pspd.ServiceB/StreamNumbers").count('"value"') == 3


def test_the_page_is_served_on_both_paths(mesh: Mesh) -> None:
    for port in (mesh.grpc, mesh.rest):
        page = mesh.curl("/", "-i", port=port).stdout
        assert "text/html" in page
        assert "<form" in page
