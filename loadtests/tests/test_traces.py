"""Fetching the traces of many calls: from a real sink and a real Jaeger, which may be slow, forgetful or away."""

import threading
import time
from collections.abc import Iterable

import httpx
import pytest

from loadtests.hops.traces import POLL_SECONDS, traces_of
from loadtests.model.measurements import TracedCall
from loadtests.tests.made_hops import BEGUN_NS
from observability.spans import Span
from observability.tests.made import call, free_port, request, trace_id
from observability.tests.running import a_jaeger, a_sink


def send(to: str, spans: Iterable[Span]) -> None:
    body = request(spans).SerializeToString()
    httpx.post(f"{to}/v1/traces", content=body, headers={"content-type": "application/x-protobuf"}).raise_for_status()


def calls(numbers: Iterable[int]) -> list[TracedCall]:
    return [TracedCall(trace_id(number), "/a/hello", BEGUN_NS, 7_000) for number in numbers]


def test_more_traces_than_one_question_may_ask_for_are_all_had() -> None:
    with a_sink() as sink:
        send(sink.http, [span for number in range(1, 251) for span in call(trace_id(number))])
        assert traces_of(calls(range(1, 251)), sink.http) == {trace_id(n): call(trace_id(n)) for n in range(1, 251)}


def test_spans_on_their_way_are_waited_for() -> None:
    with a_sink() as sink:
        send(sink.http, call(trace_id(1))[1:])
        late = threading.Timer(2 * POLL_SECONDS, send, (sink.http, call(trace_id(1))[:1]))
        late.start()
        found = traces_of(calls([1]), sink.http, wait_seconds=20)
        late.join()
    assert len(found[trace_id(1)]) == 5


def test_a_trace_that_never_comes_whole_is_given_up_and_what_came_of_it_returned() -> None:
    with a_sink() as sink:
        send(sink.http, call(trace_id(1))[1:])
        found = traces_of(calls([1, 2]), sink.http, wait_seconds=0.1)
    assert {one: len(spans) for one, spans in found.items()} == {trace_id(1): 4}


def test_nobody_where_the_sink_should_be_is_no_error_and_no_long_wait() -> None:
    begun = time.monotonic()
    assert traces_of(calls(range(1, 1000)), f"http://127.0.0.1:{free_port()}", wait_seconds=0.1) == {}
    assert time.monotonic() - begun < 20  # 10 questions of 5 s each are never asked


def test_no_call_is_no_question() -> None:
    assert traces_of([], "http://127.0.0.1:1") == {}


@pytest.mark.tool("jaeger-all-in-one")
def test_a_real_jaeger_gives_the_same_spans_as_the_sink() -> None:
    with a_jaeger() as jaeger:
        send(f"http://{jaeger.otlp_http}", [span for number in (1, 2) for span in call(trace_id(number))])
        found = traces_of(calls([1, 2, 3]), jaeger.http, jaeger=True)
    assert found.keys() == {trace_id(1), trace_id(2)}
    for number in (1, 2):
        shape = {
            (span.span_id, span.parent_id, span.start_ns, span.end_ns, span.kind) for span in found[trace_id(number)]
        }
        assert shape == {(s.span_id, s.parent_id, s.start_ns, s.end_ns, s.kind) for s in call(trace_id(number))}
