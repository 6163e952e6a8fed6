"""Figures, arms and loads read as people write them."""

import math
from dataclasses import replace

import pytest

from loadtests.findings import words
from loadtests.findings.intervals import Interval
from loadtests.model.cells import Cell


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.0, "0 %"),
        (0.00001, "under 0.01 %"),
        (0.0004, "0.04 %"),
        (0.031, "3.1 %"),
        (0.5, "50 %"),
        (0.996, "99.6 %"),
        (0.99999, "over 99.99 %"),
        (1.0, "100 %"),
        (math.nan, "—"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(share: float, said: str) -> None:
    assert words.percent(share) == said


@pytest.mark.parametrize(
    ("factor", "said"),
    [(1.004, "1.004 times"), (1.04, "1.04 times"), (1.84, "1.8 times"), (12.3, "12 times"), (math.inf, "many times")],
)
def test_a_factor_is_never_rounded_to_one(factor: float, said: str) -> None:
    assert words.times(factor) == said


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (Interval(3_120, 3_050, 3_190, 10), "3.12 ms [3.05, 3.19]"),
        (Interval(1_320_000, 1_310_000, 1_340_000, 10), "1.32 s [1.31, 1.34]"),
        (Interval(812, 800, 824, 10), "812 µs [800, 824]"),
        (Interval(812, math.nan, math.nan, 1), "812 µs"),
        (Interval(math.nan, math.nan, math.nan, 0), "—"),
    ],
)
def test_an_interval_is_in_the_unit_of_its_mean(interval: Interval, said: str) -> None:
    assert words.latency_interval(interval) == said


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (Cell("grpc", "a", 25), "A at 25 users"),
        (Cell("grpc", "a", 1), "A at 1 user"),
        (Cell("grpc", "report", 3_200), "the report's journey at 3,200 users"),
        (Cell("grpc", "a", 50, rate=500), "A at 500 calls/s (open loop)"),
        (Cell("grpc", "b", 25, count=100, delay_ms=0), "B (100 numbers, 0 ms apart) at 25 users"),
        (Cell("grpc", "echo", 25, payload_bytes=1_000), "the echo of 1,000 B at 25 users"),
        (Cell("grpc", "a", 25, reuse=False, http="2"), "A at 25 users, a connection per call, HTTP/2"),
    ],
)
def test_a_load_says_what_is_not_as_usual(cell: Cell, said: str) -> None:
    assert words.load(cell) == said


def test_an_arm_is_called_by_its_name() -> None:
    cell = Cell("grpc", "a", 25)
    assert [words.arm(replace(cell, variant=variant)) for variant in ("", "again", "journal-off")] == [
        "gRPC",
        "gRPC again",
        "gRPC with journal off",
    ]


def test_a_name_from_outside_is_one_bounded_printable_line() -> None:
    assert words.shown("a\nb\x1b[31m\ud800") == "a·b·[31m·"
    assert len(words.shown("x" * 10_000)) == words.NAME_MAX + 1
