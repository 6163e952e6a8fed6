"""Splitting a call by its spans: made spans in, parts out."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.hops.split import HOPS, TOLERANCE_NS, hops_of, left_out, split
from loadtests.tests.made_hops import called, spans
from observability.spans import Span

WITHIN = [(100, 900), (150, 880), (250, 800), (260, 790), (400, 600)]
AS_EXPECTED = {
    "client": 200,
    "edge": 70,
    "edge to sidecar": 180,
    "sidecar": 20,
    "sidecar to service": 330,
    "service": 200,
}


def test_each_hop_is_what_a_span_has_beyond_the_one_below() -> None:
    assert split(called(1000), spans(WITHIN)) == AS_EXPECTED


@st.composite
def nested(draw: st.DrawFn) -> tuple[int, list[Span]]:
    """A latency and five spans of whole nanoseconds, each within the one above but for less than the tolerance."""
    latency_us = draw(st.integers(1, 600_000_000))
    begin, end = 0, latency_us * 1000
    limits = []
    for _ in HOPS[1:]:
        low, high = sorted(draw(st.tuples(st.integers(begin, end), st.integers(begin, end))))
        over = st.integers(0, TOLERANCE_NS)
        begin, end = low, high
        limits.append(((low - draw(over)) / 1000, (high + draw(over)) / 1000))
    return latency_us, spans(limits)


@given(nested(), st.randoms())
def test_the_parts_sum_to_what_the_client_saw_exactly_and_none_is_negative(
    made: tuple[int, list[Span]], order: random.Random
) -> None:
    latency_us, came = made
    order.shuffle(came)
    parts = split(called(latency_us), came)
    assert parts is not None
    assert sum(round(us * 1000) for us in parts.values()) == latency_us * 1000
    assert all(us >= 0 for us in parts.values())


def late(number: int, by_ns: int) -> list[Span]:
    came = spans(WITHIN)
    came[number] = replace(came[number], end_ns=came[number - 1].end_ns + by_ns)
    return came


BROKEN = {
    "no span is here": [],
    "spans are missing": spans(WITHIN)[:4],
    "spans other than the five of one attempt": [
        *spans(WITHIN),
        replace(spans(WITHIN)[1], span_id="000000000000000a"),  # a retry: the edge called twice
    ],
    "a span reaches beyond the one above": late(4, by_ns=TOLERANCE_NS + 1),
}
LOOP = [replace(span, parent_id="0000000000000005") for span in spans(WITHIN)[:1]] + spans(WITHIN)[1:]
SAME_ID = [replace(span, span_id="0000000000000001", parent_id="0000000000000001") for span in spans(WITHIN)]
TWO_TOPS = [*spans(WITHIN)[:4], replace(spans(WITHIN)[4], parent_id="00000000000000ff")]
WRONG_KINDS = [replace(span, kind="server") for span in spans(WITHIN)]


@pytest.mark.parametrize(("cause", "came"), BROKEN.items())
def test_a_trace_that_does_not_tell_is_left_out_and_counted_by_its_cause(cause: str, came: list[Span]) -> None:
    traces = {call.trace_id: came for call in [called(1000)]}
    assert split(called(1000), came) is None
    assert hops_of([called(1000)], traces) == []
    assert left_out([called(1000)], traces) == {cause: 1}


@pytest.mark.parametrize("came", [LOOP, SAME_ID, TWO_TOPS, WRONG_KINDS])
def test_spans_that_are_no_chain_of_one_call_are_left_out(came: list[Span]) -> None:
    assert left_out([called(1000)], {called(1).trace_id: came}) == {"spans other than the five of one attempt": 1}


def test_a_call_that_was_answered_before_its_spans_ended_is_another_clock_and_left_out() -> None:
    assert split(called(900 - TOLERANCE_NS // 1000 - 1), spans(WITHIN)) is None


def test_means_are_taken_route_by_route_over_the_calls_that_can_be_split() -> None:
    calls = [called(1000, trace_id="1"), called(2000, trace_id="2"), called(1000, "/b", "3"), called(1, trace_id="4")]
    hello, b = hops_of(calls, {trace_id: spans(WITHIN) for trace_id in "123"})
    assert (hello.route, hello.traces, hello.whole_us) == ("/a/hello", 2, 1500)
    assert hello.parts_us == {**AS_EXPECTED, "client": 700}
    assert (b.route, b.traces, b.parts_us) == ("/b", 1, AS_EXPECTED)
