"""The forest of a trace: whatever is sent, every span appears once, and time is accounted for."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from observability.document import from_json, to_json
from observability.spans import Span
from observability.tests.made import START_NS, TRACE, call, span
from observability.tree import hops, rows, time_spent, tree

ids = st.integers(1, 12).map(lambda n: f"{n:016x}")  # few, so that duplicates, loops and missing parents are common
spans = st.builds(
    Span,
    trace_id=st.just(TRACE),
    span_id=ids,
    parent_id=st.one_of(st.just(""), ids),
    name=st.text(max_size=5),
    service=st.sampled_from(["edge", "sidecar-a", "a"]),
    start_ns=st.integers(0, 50),
    end_ns=st.just(0),
    kind=st.sampled_from(["internal", "server", "client"]),
    status=st.sampled_from(["unset", "ok", "error"]),
).flatmap(lambda s: st.integers(0, 50).map(lambda d: replace(s, end_ns=s.start_ns + d)))
traces = st.lists(spans, min_size=1, max_size=20)


@given(traces)
def test_every_span_appears_exactly_once_whatever_is_sent(sent: list[Span]) -> None:
    shown = [row.span.span_id for row in rows(tree(sent))]
    assert sorted(shown) == sorted({s.span_id for s in sent})


@given(traces, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(sent: list[Span], order: random.Random) -> None:
    shuffled = sent + sent[:3]
    order.shuffle(shuffled)
    assert rows(tree(shuffled)) == rows(tree(sent))


@given(traces)
def test_a_child_stands_right_below_its_parent_and_within_its_levels(sent: list[Span]) -> None:
    path: list[str] = []
    for row in rows(tree(sent)):
        del path[row.depth :]
        assert len(path) == row.depth
        assert row.depth == 0 or row.span.parent_id == path[-1]
        path.append(row.span.span_id)


@given(traces)
def test_a_span_is_adrift_only_if_its_parent_is_missing_or_it_is_its_own_ancestor(sent: list[Span]) -> None:
    forest = tree(sent)
    parents = {row.span.span_id: row.span.parent_id for row in rows(forest)}
    for top in forest.adrift:
        above, seen = top.parent_id, set[str]()
        while above in parents and above not in seen:
            seen.add(above)
            above = parents[above]
        assert above not in parents or top.span_id in seen
    assert forest.complete == (bool(forest.roots) and not forest.adrift)


@given(traces)
def test_nobody_works_longer_by_himself_than_in_all(sent: list[Span]) -> None:
    placed = rows(tree(sent))
    assert all(0 <= row.own_ns <= row.duration_ns for row in placed)
    assert sum(time_spent(placed).values()) == sum(row.own_ns for row in placed)
    assert all(hop.out_ns >= 0 and hop.back_ns >= 0 for hop in hops(placed))


@given(traces)
def test_json_brings_the_same_waterfall_back(sent: list[Span]) -> None:
    assert rows(tree(from_json(to_json(sent)))) == rows(tree(sent))


def test_a_call_is_nested_five_deep_and_its_time_adds_up() -> None:
    placed = rows(tree(call()))
    assert [row.depth for row in placed] == [0, 1, 2, 3, 4]
    assert sum(time_spent(placed).values()) == 6_420_000
    assert time_spent(placed)["edge → sidecar-a"] == 790_000
    there, further = hops(placed)
    assert (there.caller, there.callee, there.out_ns, there.back_ns) == ("edge", "sidecar-a", 490_000, 300_000)
    assert (further.caller, further.callee) == ("sidecar-a", "a")


def test_a_service_whose_clock_is_behind_is_moved_with_all_that_it_did() -> None:
    behind = [replace(s, start_ns=s.start_ns - 10**9, end_ns=s.end_ns - 10**9) for s in call()[2:4]]
    placed = rows(tree([*call()[:2], *behind, call()[4]]))
    skews = {row.span.service: row.skew_ns for row in placed}
    assert skews == {"edge": 0, "sidecar-a": 10**9 - 95_000, "a": 0}  # as long on the way there as back
    assert all(START_NS <= row.start_ns <= row.end_ns <= START_NS + 6_420_000 for row in placed)


def test_a_late_end_is_no_skew() -> None:
    """A service often ends its span just after the sidecar has sent the last byte on."""
    late = span(6, 4, "a", "late", 1500, 6000)
    assert not any(row.skew_ns for row in rows(tree([*call()[:4], late])))


def test_a_chain_longer_than_pythons_stack_is_shown() -> None:
    chain = [span(n, n - 1, "a", "deep", n, 5000 - n) for n in range(1, 2001)]
    assert rows(tree(chain))[-1].depth == 1999


@settings(max_examples=20)
@given(st.lists(st.integers(2, 6), min_size=5, max_size=5))
def test_a_loop_is_cut_and_what_hangs_on_it_stays_below(parents: list[int]) -> None:
    looped = [span(n, p, "a", "round", n, 50) for n, p in zip(range(2, 7), parents, strict=True)]
    forest = tree([span(1, 0, "edge", "root", 0, 60), *looped])
    assert len(rows(forest)) == 6
    assert not forest.complete
