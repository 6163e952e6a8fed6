"""One table of inputs, two answers each: the gRPC service and its REST twin must agree on what they say and on why not."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import grpc
import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc import (
    error_details_pb2,  # noqa: F401 - so that the details of a status can be printed
    status_pb2,
)

from services.stubs import pspd_pb2
from services.tests.running import Started, stub_a, stub_b

NAMES = ["", "Edilberto", "mundo", "Zé da Silva", "a+b&c=d%20", "名前", "\0", "<b>\u2028\"'\\", "x" * 1_024, "é" * 512]
TOO_LONG = ["x" * 1_025, "é" * 513, "x" * 10_000, "é" * 10_000]
NUMBERS = [(0, 0), (1, 0), (3, 1), (-1, -1), (-(2**31), -(2**31)), (5, 2), (10_000, 0)]
TOO_MUCH = [(10_001, 0), (2**31 - 1, 0), (2**31 - 1, 2**31 - 1), (10_000, 31), (0, 60_001), (1, 300_001)]


@pytest.mark.parametrize("name", NAMES)
def test_twins_greet_alike(a: Started, a_rest: Started, name: str) -> None:
    with grpc.insecure_channel(a.address) as channel:
        said = stub_a(channel).SayHello(pspd_pb2.HelloRequest(name=name), timeout=5).message
    answer = httpx.get(f"{a_rest.url}/a/hello?name={quote(name, safe='')}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"message": said.removesuffix("[A]") + "[A-REST]"}
    assert said == f"Olá, {name or 'mundo'}! [A]"


def test_json_is_utf8_as_the_transcoder_prints_it(a_rest: Started) -> None:
    assert httpx.get(f"{a_rest.url}/a/hello?name=Z%C3%A9").content == '{"message":"Olá, Zé! [A-REST]"}'.encode()


@pytest.mark.parametrize(("count", "delay_ms"), NUMBERS)
def test_twins_count_alike(b: Started, b_rest: Started, count: int, delay_ms: int) -> None:
    with grpc.insecure_channel(b.address) as channel:
        asked = pspd_pb2.StreamRequest(count=count, delay_ms=delay_ms)
        values = [reply.value for reply in stub_b(channel).StreamNumbers(asked, timeout=20)]
    answer = httpx.get(f"{b_rest.url}/b/numbers", params={"count": count, "delay_ms": delay_ms}, timeout=20)
    assert answer.json() == {"values": values}
    assert values == list(range(1, (count if count > 0 else 5) + 1))


@pytest.mark.parametrize("name", TOO_LONG, ids=len)
def test_twins_refuse_a_name_alike(a: Started, a_rest: Started, name: str) -> None:
    with grpc.insecure_channel(a.address) as channel, pytest.raises(grpc.RpcError) as refused:
        stub_a(channel).SayHello(pspd_pb2.HelloRequest(name=name), timeout=5)
    answer = httpx.get(f"{a_rest.url}/a/hello?name={quote(name)}")
    assert answer.status_code == 400
    assert answer.json() == as_the_edge_prints(refused.value)


@pytest.mark.parametrize(("count", "delay_ms"), TOO_MUCH)
def test_twins_refuse_numbers_alike(b: Started, b_rest: Started, count: int, delay_ms: int) -> None:
    with grpc.insecure_channel(b.address) as channel, pytest.raises(grpc.RpcError) as refused:
        list(stub_b(channel).StreamNumbers(pspd_pb2.StreamRequest(count=count, delay_ms=delay_ms), timeout=5))
    answer = httpx.get(f"{b_rest.url}/b/numbers?{urlencode({'count': count, 'delay_ms': delay_ms})}")
    assert answer.status_code == 400
    assert answer.json() == as_the_edge_prints(refused.value)
    assert answer.json()["code"] == 3


def test_twins_refuse_text_that_is_not_utf8(a: Started, a_rest: Started) -> None:
    with grpc.insecure_channel(a.address) as channel:
        raw: Any = channel.unary_unary("/pspd.ServiceA/SayHello")
        with pytest.raises(grpc.RpcError) as refused:
            raw(b"\x0a\x01\xff", timeout=5)
    answer = httpx.get(f"{a_rest.url}/a/hello?name=%FF")
    assert (answer.status_code, answer.json()["code"]) == (400, as_the_edge_prints(refused.value)["code"])


def as_the_edge_prints(error: Any) -> dict[str, Any]:
    """The google.rpc.Status of a gRPC error in the transcoder's JSON: all primitive fields, names of the contract."""
    trailers: dict[str, bytes] = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    printed = MessageToDict(status, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return dict(json.loads(json.dumps(printed)))
