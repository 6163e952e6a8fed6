"""What a call carries besides its answer: ids, position, version; and which pages may call."""

import re

import pytest

from edge.tests.given import POSITION
from edge.tests.misbehaving import PRETENDED
from edge.tests.running import RunningEdge

PATHS = ("grpc", "rest")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OWN_ID = "11111111-2222-4333-8444-555555555555"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ANSWERED = {
    "a call": ("/a/hello", ()),
    "a stream": ("/b/numbers?count=1", ()),
    "an error of the service": ("/a/hello?name=abort+3+no", ()),
    "a wrong method": ("/a/hello", ("-X", "POST")),
    "an unknown path": ("/nowhere", ()),
    "a body over the limit": ("/a/hello", ("-X", "GET", "-d", "x" * 110_000)),
    "the page": ("/", ()),
}


@pytest.mark.parametrize("asked", PATHS)
@pytest.mark.parametrize("case", ANSWERED)
def test_every_answer_says_its_ids_and_the_position_it_was_given_under(
    misled: RunningEdge, asked: str, case: str
) -> None:
    path, arguments = ANSWERED[case]
    headers = misled.curl(path, *arguments, port=getattr(misled.ports, asked)).headers
    assert UUID.fullmatch(headers["x-request-id"])
    assert re.fullmatch("[0-9a-f]{32}", headers["x-trace-id"])
    assert headers["x-meshlog-position"] == str(POSITION)
    assert headers["server"] == "meshlog"
    assert not [name for name in headers if name.startswith("x-envoy")]


@pytest.mark.parametrize("asked", PATHS)
def test_a_call_says_which_service_and_version_answered(misled: RunningEdge, asked: str) -> None:
    headers = misled.curl("/a/hello", port=getattr(misled.ports, asked)).headers
    service = {"grpc": "a", "rest": "a-rest"}[asked]
    assert (headers["x-meshlog-service"], headers["x-meshlog-version"]) == (service, "v1")
    assert "x-meshlog-service" not in misled.curl("/nowhere", port=getattr(misled.ports, asked)).headers


@pytest.mark.parametrize("asked", PATHS)
def test_neither_a_service_nor_a_client_has_a_say_in_what_the_edge_tells_of_a_call(
    misled: RunningEdge, asked: str
) -> None:
    """The journal reads these headers."""
    sent = [argument for header, value in PRETENDED.items() for argument in ("-H", f"{header}: {value}")]
    headers = misled.curl("/a/hello?name=pretend", *sent, port=getattr(misled.ports, asked)).headers
    for header, value in PRETENDED.items():
        assert headers[header] != value
    assert headers["x-meshlog-position"] == str(POSITION)
    assert headers["x-meshlog-version"] == "v1"


@pytest.mark.parametrize("asked", PATHS)
def test_a_clients_request_id_is_replaced(misled: RunningEdge, asked: str) -> None:
    """Two calls with one id would be one in the journal."""
    answer = misled.curl("/a/hello", "-H", f"x-request-id: {OWN_ID}", port=getattr(misled.ports, asked))
    assert UUID.fullmatch(answer.headers["x-request-id"])
    assert answer.headers["x-request-id"] != OWN_ID


@pytest.mark.parametrize("asked", PATHS)
def test_a_clients_trace_is_continued(misled: RunningEdge, asked: str) -> None:
    answer = misled.curl("/a/hello", "-H", f"traceparent: {PARENT}", port=getattr(misled.ports, asked))
    assert answer.headers["x-trace-id"] == TRACE


@pytest.mark.parametrize("host", ["pspd.local", "pspd-rest.local", "localhost", "127.0.0.1", "[::1]:8080", "x.example"])
def test_every_host_name_is_served(misled: RunningEdge, host: str) -> None:
    for port in (misled.ports.grpc, misled.ports.rest):
        assert misled.curl("/a/hello", "-H", f"host: {host}", port=port).status == 200


@pytest.mark.parametrize("asked", PATHS)
def test_a_page_of_an_allowed_origin_may_call_and_read_the_ids(misled: RunningEdge, asked: str) -> None:
    port = getattr(misled.ports, asked)
    origin = ("-H", "origin: https://pages.example")
    asking = misled.curl("/a/hello", "-X", "OPTIONS", *origin, "-H", "access-control-request-method: GET", port=port)
    assert asking.status == 200
    for answer in (asking, misled.curl("/a/hello", *origin, port=port)):
        assert answer.headers["access-control-allow-origin"] == "https://pages.example"
        assert {"x-trace-id", "x-request-id"} <= set(answer.headers["access-control-expose-headers"].split(","))
    assert asking.headers["access-control-allow-methods"] == "GET"
    assert misled.curl("/nowhere", *origin, port=port).status == 404


@pytest.mark.parametrize("asked", PATHS)
def test_a_page_of_another_origin_may_not(misled: RunningEdge, asked: str) -> None:
    port = getattr(misled.ports, asked)
    origin = ("-H", "origin: https://other.example")
    asking = misled.curl("/a/hello", "-X", "OPTIONS", *origin, "-H", "access-control-request-method: GET", port=port)
    for answer in (asking, misled.curl("/a/hello", *origin, port=port)):
        assert "access-control-allow-origin" not in answer.headers
