"""Bad input, a row a test: a JSON error with the right status, on both paths. What it does to others is in test_abuse.py."""

import json

import pytest

from edge.tests.rude import raw, uploaded
from edge.tests.running import Curled, RunningEdge

PATHS = ("grpc", "rest")
MEBIBYTE = 1_048_576
LONG_NAME = "n" * 10_240


def ask(edge: RunningEdge, asked: str, path: str, *arguments: str) -> Curled:
    return edge.curl(path, *arguments, port=getattr(edge.ports, asked))


def said(answer: Curled) -> tuple[int, int]:
    """HTTP status and code of an error, which is in the one form."""
    assert answer.headers["content-type"] == "application/json"
    error = json.loads(answer.body)
    assert error["message"]
    return answer.status, error["code"]


@pytest.mark.parametrize("asked", PATHS)
class TestTheContract:
    """Rows that the services' rules decide, or the transcoder for them."""

    def test_an_empty_name_greets_the_world(self, honest: RunningEdge, asked: str) -> None:
        by = {"grpc": "A", "rest": "A-REST"}[asked]
        for path in ("/a/hello", "/a/hello?name="):
            assert json.loads(ask(honest, asked, path).body) == {"message": f"Olá, mundo! [{by}]"}

    def test_a_name_of_10_kb_is_400(self, honest: RunningEdge, asked: str) -> None:
        assert said(ask(honest, asked, f"/a/hello?name={LONG_NAME}")) == (400, 3)

    @pytest.mark.parametrize("count", ["0", "-1"])
    def test_a_count_of_nothing_is_five(self, honest: RunningEdge, asked: str, count: str) -> None:
        expected = {"grpc": [{"value": value} for value in range(1, 6)], "rest": {"values": [1, 2, 3, 4, 5]}}
        assert json.loads(ask(honest, asked, f"/b/numbers?count={count}").body) == expected[asked]

    @pytest.mark.parametrize("count", ["1000000000", "1e9", "99999999999", "text", "3.5", "%FF"])
    def test_a_count_beyond_the_bounds_or_no_number_is_400(self, honest: RunningEdge, asked: str, count: str) -> None:
        assert said(ask(honest, asked, f"/b/numbers?count={count}")) == (400, 3)

    def test_a_stream_that_would_take_too_long_is_400(self, honest: RunningEdge, asked: str) -> None:
        assert said(ask(honest, asked, "/b/numbers?count=10000&delay_ms=1000")) == (400, 3)

    def test_a_name_that_is_no_text_is_400(self, honest: RunningEdge, asked: str) -> None:
        assert said(ask(honest, asked, "/a/hello?name=%FF")) == (400, 3)

    @pytest.mark.parametrize("path", ["/a/hello?nome=x", "/b/numbers?limit=3"])
    def test_an_unknown_parameter_is_400(self, honest: RunningEdge, asked: str, path: str) -> None:
        assert said(ask(honest, asked, path)) == (400, 3)

    @pytest.mark.parametrize(
        "path", ["/a", "/a/hello/", "//a/hello", "/A/hello", "/a%2Fhello", "/a/hello;x=1", "/admin"]
    )
    def test_an_unknown_route_is_404(self, honest: RunningEdge, asked: str, path: str) -> None:
        assert said(ask(honest, asked, path)) == (404, 5)


@pytest.mark.parametrize("asked", PATHS)
class TestTheLimits:
    """Rows that the edge decides before any service is asked."""

    @pytest.mark.parametrize("more", [(), ("-H", "expect:"), ("-H", "transfer-encoding: chunked")])
    def test_a_body_over_the_limit_is_413(self, misled: RunningEdge, asked: str, more: tuple[str, ...]) -> None:
        body = misled.directory / "body"
        body.write_bytes(b"x" * 4 * MEBIBYTE)
        answer = ask(misled, asked, "/a/hello", "-X", "GET", "--data-binary", f"@{body}", *more)
        assert said(answer) == (413, 8)

    def test_a_body_over_the_limit_is_413_by_http2_too(self, misled: RunningEdge, asked: str) -> None:
        status, body = uploaded(misled, asked, 4 * MEBIBYTE)
        assert (status, json.loads(body)["code"]) == (413, 8)

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param([f"x-{number}: y" for number in range(200)], id="too many"),
            pytest.param([f"x-{number}: {'y' * 8_000}" for number in range(10)], id="too large"),
            pytest.param([f"x: {'y' * 70_000}"], id="one too large"),
        ],
    )
    def test_a_header_bomb_is_431(self, misled: RunningEdge, asked: str, headers: list[str]) -> None:
        file = misled.directory / "headers"
        file.write_text("\n".join(headers))
        assert said(ask(misled, asked, "/a/hello", "-H", f"@{file}")) == (431, 8)

    def test_a_url_beyond_all_bounds_is_431(self, misled: RunningEdge, asked: str) -> None:
        assert said(ask(misled, asked, f"/a/hello?name={'n' * 70_000}")) == (431, 8)

    def test_headers_that_never_end_are_408(self, misled: RunningEdge, asked: str) -> None:
        answer = raw(misled, asked, b"GET /a/hello HTTP/1.1\r\nhost: x\r\nx-slow: ")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == 4

    def test_a_body_that_never_ends_is_408(self, misled: RunningEdge, asked: str) -> None:
        answer = raw(misled, asked, b"GET /a/hello HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == 4

    @pytest.mark.parametrize(
        "nonsense",
        [
            b"NONSENSE\r\n\r\n",
            b"GET /a/hello HTTP/1.1\r\n\r\n",  # no host
            b"GET /a/hello HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            b"GET /a/hello HTTP/1.1\r\nhost: x\r\nx: \x00\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS to a port that speaks none
        ],
    )
    def test_what_is_not_http_is_400(self, misled: RunningEdge, asked: str, nonsense: bytes) -> None:
        answer = raw(misled, asked, nonsense)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
            "code": 3,
            "message": "the request is not valid HTTP; are characters outside ASCII percent-encoded?",
            "details": [],
        }


@pytest.mark.parametrize("asked", PATHS)
class TestWhatWouldCostNeighbours:
    """Headers that are legal in HTTP/1.1 and harm whoever shares a connection behind the edge (edge/requests.lua)."""

    @pytest.mark.parametrize("host", ["", "u@x", "a b", "x/y", 'x"y'])
    def test_a_host_that_is_none_is_400(self, honest: RunningEdge, asked: str, host: str) -> None:
        request = f"GET /a/hello HTTP/1.1\r\nhost:{host and ' '}{host}\r\nconnection: close\r\n\r\n"
        answer = raw(honest, asked, request.encode())
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == 3

    @pytest.mark.parametrize(
        "host", ["localhost", "pspd.local:8080", "127.0.0.1:1", "[::1]:8080", "xn--zca.example", "a_b.local"]
    )
    def test_a_host_that_is_one_is_served(self, honest: RunningEdge, asked: str, host: str) -> None:
        assert ask(honest, asked, "/a/hello", "-H", f"host: {host}").status == 200

    @pytest.mark.parametrize("timeout", ["-1S", "garbage", "123456789S", "5", "5s", "1S, 2S"])
    def test_a_grpc_timeout_that_is_none_is_400(self, honest: RunningEdge, asked: str, timeout: str) -> None:
        assert said(ask(honest, asked, "/a/hello", "-H", f"grpc-timeout: {timeout}")) == (400, 3)

    @pytest.mark.parametrize(
        "header",
        ["grpc-encoding: bogus", "grpc-tags-bin: !!", "grpc-status: x", "x-foo-bin: !!!", "grpc-retry-pushback-ms: x"],
    )
    def test_what_only_grpc_says_is_not_heard_of_others(self, honest: RunningEdge, asked: str, header: str) -> None:
        assert ask(honest, asked, "/a/hello", "-H", header).status == 200

    def test_the_body_of_a_get_says_nothing(self, honest: RunningEdge, asked: str) -> None:
        by = {"grpc": "A", "rest": "A-REST"}[asked]
        for more in ([], ["-H", "transfer-encoding: chunked"]):
            for body in ('{"name":"body"}', "xx"):
                arguments = ["-X", "GET", "-H", "content-type: application/json", "-d", body, *more]
                assert json.loads(ask(honest, asked, "/a/hello", *arguments).body) == {"message": f"Olá, mundo! [{by}]"}
