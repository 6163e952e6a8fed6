"""Streams: in the form that the client asked for, as they arrive, and honest about how they ended."""

import json
import time

import grpc
import httpx
import pytest

from edge.tests.given import Ports, a_mesh
from edge.tests.misbehaving import DIES, FAILS, FAILURE, HANGS, SAYS_NOTHING, WELL, NumberReply, StreamRequest
from edge.tests.running import RunningEdge, misbehaving, running_edge

ARRAY, LINES, EVENTS = "application/json", "application/x-ndjson", "text/event-stream"
VALUES = [{"value": 1}, {"value": 2}]
FAILED = {"error": {"code": 13, "message": FAILURE, "details": []}}
TRUNCATED = 18  # curl: the transfer was cut
HTTP2_ERROR = 92  # curl: the stream was reset


def numbers(ending: int, count: int = 2) -> str:
    return f"/b/numbers?count={count}&delay_ms={ending}"


def in_array(*records: object) -> str:
    return "[" + ",".join(json.dumps(record, separators=(",", ":")) for record in records) + "]"


def events(body: str) -> list[dict[str, str]]:
    """The fields of each server-sent event."""
    return [dict(line.split(": ", 1) for line in event.split("\n")) for event in body.split("\n\n") if event]


def test_a_client_that_asks_for_nothing_gets_an_array(misled: RunningEdge) -> None:
    answer = misled.curl(numbers(WELL))
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, ARRAY, in_array(*VALUES))


def test_lines_are_asked_for_by_accept(misled: RunningEdge) -> None:
    answer = misled.curl(numbers(WELL), "-H", f"accept: {LINES}")
    assert (answer.status, answer.headers["content-type"]) == (200, LINES)
    assert [json.loads(line) for line in answer.body.splitlines()] == VALUES


def test_events_are_asked_for_by_accept(misled: RunningEdge) -> None:
    answer = misled.curl(numbers(WELL), "-H", f"accept: {EVENTS}")
    assert (answer.status, answer.headers["content-type"]) == (200, EVENTS)
    assert [json.loads(event["data"]) for event in events(answer.body)] == VALUES


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", ARRAY),
        ("text/html", ARRAY),
        (f"{EVENTS};q=0.5, {LINES}", LINES),
        (f"{LINES}, {EVENTS}", LINES),
        (f"{EVENTS};q=0.9, {ARRAY};q=0.1", EVENTS),
        ("Application/X-NDJSON", LINES),
        (f"{LINES};q=nonsense", LINES),
        (f"{LINES};q=0", ARRAY),
    ],
)
def test_what_the_client_likes_best_is_chosen(misled: RunningEdge, accept: str, chosen: str) -> None:
    assert misled.curl(numbers(WELL, 1), "-H", f"accept: {accept}").headers["content-type"] == chosen


@pytest.mark.parametrize("accept", [ARRAY, LINES, EVENTS])
def test_elements_are_sent_as_they_arrive(misled: RunningEdge, accept: str) -> None:
    """The application pauses 100 ms after each."""
    url = f"http://localhost:{misled.ports.grpc}{numbers(WELL, 8)}"
    with httpx.stream("GET", url, headers={"accept": accept}) as answer:
        arrived = [time.monotonic() for chunk in answer.iter_raw() if b"value" in chunk]
    assert len(arrived) == 8
    assert arrived[-1] - arrived[0] > 0.5


@pytest.mark.parametrize(("protocol", "cut"), [("--http1.1", TRUNCATED), ("--http2-prior-knowledge", HTTP2_ERROR)])
def test_an_array_whose_stream_failed_is_cut(misled: RunningEdge, protocol: str, cut: int) -> None:
    """Never a shorter array that is valid JSON."""
    answer = misled.curl(numbers(FAILS), protocol)
    assert answer.exit_status == cut
    assert answer.body == in_array(*VALUES)[:-1]


def test_lines_end_with_the_error_of_a_stream_that_failed(misled: RunningEdge) -> None:
    answer = misled.curl(numbers(FAILS), "-H", f"accept: {LINES}")
    assert answer.exit_status == 0
    assert [json.loads(line) for line in answer.body.splitlines()] == [*VALUES, FAILED]


def test_events_end_with_the_error_of_a_stream_that_failed(misled: RunningEdge) -> None:
    found = events(misled.curl(numbers(FAILS), "-H", f"accept: {EVENTS}").body)
    assert [json.loads(event["data"]) for event in found] == [*VALUES, FAILED]
    assert [event.get("event") for event in found] == [None, None, "error"]


def test_a_native_client_gets_the_status_of_a_stream_that_failed(misled: RunningEdge) -> None:
    with grpc.insecure_channel(f"localhost:{misled.ports.grpc}") as channel:
        call = channel.unary_stream(
            "/pspd.ServiceB/StreamNumbers", StreamRequest.SerializeToString, NumberReply.FromString
        )(StreamRequest(count=2, delay_ms=FAILS))
        with pytest.raises(grpc.RpcError) as failure:
            list(call)
        assert (failure.value.code(), failure.value.details()) == (grpc.StatusCode.INTERNAL, FAILURE)


@pytest.mark.parametrize("accept", [ARRAY, LINES, EVENTS])
def test_a_stream_that_fails_before_it_begins_is_a_plain_error(misled: RunningEdge, accept: str) -> None:
    answer = misled.curl(numbers(SAYS_NOTHING), "-H", f"accept: {accept}")
    assert (answer.status, answer.headers["content-type"]) == (503, ARRAY)
    assert json.loads(answer.body) == {"code": 14, "message": "not today", "details": []}


def test_a_stream_that_takes_too_long_is_ended_by_the_service_which_says_so(misled: RunningEdge) -> None:
    answer = misled.curl(numbers(HANGS), "-H", f"accept: {LINES}")
    records = [json.loads(line) for line in answer.body.splitlines()]
    assert records[:2] == VALUES
    assert records[2]["error"]["code"] == 4


@pytest.mark.parametrize("accept", [ARRAY, LINES, EVENTS])
def test_a_service_that_dies_in_a_stream_cuts_the_answer_in_every_form(accept: str) -> None:
    ports = Ports(21560)
    topology = a_mesh(ports, grpc_apps=[ports.app(0)])
    with misbehaving(ports.app(0), ports.app(1)), running_edge(topology) as edge:
        answer = edge.curl(numbers(DIES), "-H", f"accept: {accept}")
        assert answer.exit_status == TRUNCATED


def test_300_long_streams_do_not_delay_a_short_one(misled: RunningEdge) -> None:
    url = f"http://localhost:{misled.ports.grpc}"
    limits = httpx.Limits(max_connections=400)
    with httpx.Client(limits=limits, timeout=30) as client:
        streams = [client.send(client.build_request("GET", url + numbers(WELL, 30)), stream=True) for _ in range(300)]
        start = time.monotonic()
        assert client.get(url + numbers(WELL, 1)).json() == VALUES[:1]
        assert time.monotonic() - start < 1
        for stream in streams:
            stream.close()


@pytest.mark.parametrize("accept", [LINES, EVENTS])
def test_many_elements_in_one_chunk_are_still_told_apart(honest: RunningEdge, accept: str) -> None:
    answer = honest.curl("/b/numbers?count=3000&delay_ms=0", "-H", f"accept: {accept}")
    lines = [line.removeprefix("data: ") for line in answer.body.splitlines() if line]
    assert [json.loads(line)["value"] for line in lines] == list(range(1, 3001))
