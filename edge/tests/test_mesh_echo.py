"""The mesh that benchmarks run on: echo answers 10 B to 1 MB alike on both paths and natively, and says no in words."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from mesh.tests.meshes import Mesh, a_mesh
from services.stubs import echo_pb2
from services.tests.running import stub_echo

pytestmark = pytest.mark.mesh

BENCH = Path(__file__).parents[2] / "manifests" / "bench.toml"
MOST = 1_000_000
SIZES = [10, 1_000, 100_000, MOST]
KINDS = ['"\\/', "<&>'", "\n\t\0\x7f", "é名", "\u2028\ufeff", "😀👩\u200d🚀"]
SAID_WITHOUT_ONE = [b"", b"{}", b'{"payload":null}', b'{"other":[1]}']
NO_JSON = [b"{", b"[]", b"payload=x", b'{"payload":1}', b'{"payload":"\xff"}', b'{"payload":"\\ud800"}']


@pytest.fixture(scope="module")
def bench() -> Iterator[Mesh]:
    with a_mesh("bench") as mesh:
        mesh.up("--file", str(BENCH))
        yield mesh


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("size", SIZES)
def test_every_size_comes_back_the_same_on_both_paths(bench: Mesh, tmp_path: Path, size: int, http2: bool) -> None:
    sent, received = tmp_path / "sent", tmp_path / "received"
    sent.write_bytes(as_json("x" * size))
    flags = ["--http2-prior-knowledge"] if http2 else []
    for port in (bench.grpc, bench.rest):
        done = bench.curl("/echo", *flags, "--data-binary", f"@{sent}", "-o", str(received), port=port)
        assert done.returncode == 0, done.stderr
        assert received.read_bytes() == sent.read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_every_size_comes_back_the_same_to_native_grpc(bench: Mesh, size: int) -> None:
    assert native(bench, "x" * size) == "x" * size


@pytest.mark.parametrize("kind", KINDS, ids=ascii)
def test_every_character_comes_back_the_same(bench: Mesh, kind: str) -> None:
    payload = kind * 5_000
    answers = [post(bench, asked, as_json(payload)) for asked in ("grpc", "rest")]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"payload": payload})] * 2
    assert native(bench, payload) == payload


def test_an_answer_may_grow_where_json_escapes_it(bench: Mesh) -> None:
    """The transcoder writes six bytes for one "<": its answer is six times what was asked."""
    answer = post(bench, "grpc", as_json("<" * MOST))
    assert (answer.status_code, answer.json()) == (200, {"payload": "<" * MOST})


@pytest.mark.parametrize("size", [MOST + 1, 1_048_562])
def test_a_payload_over_the_bound_is_refused_alike_on_both_paths(bench: Mesh, size: int) -> None:
    over_grpc, over_rest = (post(bench, asked, as_json("x" * size)) for asked in ("grpc", "rest"))
    assert over_grpc.status_code == over_rest.status_code == 400
    assert over_grpc.json() == over_rest.json()
    assert over_rest.json()["message"] == f"payload is at most 1,000,000 bytes of UTF-8; {size:,} were given"
    assert over_rest.json()["details"][0]["field_violations"][0]["field"] == "payload"


def test_a_payload_over_the_bound_is_refused_in_words_to_native_grpc(bench: Mesh) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        native(bench, "x" * (MOST + 1))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "payload is at most 1,000,000 bytes of UTF-8; 1,000,001 were given"


@pytest.mark.parametrize("asked", ["grpc", "rest"])
def test_what_the_edge_itself_does_not_take_is_413_and_json(bench: Mesh, asked: str) -> None:
    answer = post(bench, asked, as_json("x" * 2 * MOST))
    assert (answer.status_code, answer.json()["code"]) == (413, 8)


@pytest.mark.parametrize("body", SAID_WITHOUT_ONE)
def test_both_paths_take_a_body_without_a_payload_for_the_empty_one(bench: Mesh, body: bytes) -> None:
    answers = [post(bench, asked, body) for asked in ("grpc", "rest")]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"payload": ""})] * 2


@pytest.mark.parametrize("body", NO_JSON)
def test_both_paths_refuse_what_is_no_such_json(bench: Mesh, body: bytes) -> None:
    for asked in ("grpc", "rest"):
        answer = post(bench, asked, body)
        said = answer.json()
        assert (answer.status_code, said["code"]) == (400, 3)
        assert said["message"]


@pytest.mark.parametrize("asked", ["grpc", "rest"])
def test_another_method_is_told_that_it_is_post(bench: Mesh, asked: str) -> None:
    answer = httpx.get(f"http://localhost:{getattr(bench, asked)}/echo")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def as_json(payload: str) -> bytes:
    return json.dumps({"payload": payload}, ensure_ascii=False, separators=(",", ":")).encode()


def post(bench: Mesh, asked: str, body: bytes) -> httpx.Response:
    return httpx.post(f"http://localhost:{getattr(bench, asked)}/echo", content=body, timeout=20)


def native(bench: Mesh, payload: str) -> Any:
    with grpc.insecure_channel(f"localhost:{bench.grpc}") as channel:
        return stub_echo(channel).Echo(echo_pb2.EchoRequest(payload=payload), timeout=20).payload
