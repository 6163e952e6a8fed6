"""The waterfall in a terminal: every figure in its place, at any width, and nothing a sender wrote gets out of hand."""

import io
import textwrap
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from observability.duration import duration, rounded, ticks
from observability.spans import Span
from observability.tests.made import call, span
from observability.waterfall import render


def drawn(spans: list[Span], width: int = 80, colour: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(render(spans))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_call_at_80_columns() -> None:
    expected = """\
    trace 4bf92f3577b34da6a3ce929d0e0e4736  2026-11-23T17:05:18.123456Z
    GET /a/hello at edge: 6.42 ms, 5 spans of 3 services

                                       0       2 ms    4 ms          begins    takes
    edge GET /a/hello                  ██────────────────────────█        0  6.42 ms
    └ edge router a egress              ░░░────────────────────░░    410 µs  5.69 ms
      └ sidecar-a ingress                 ██───────────────────█     900 µs  4.90 ms
        └ sidecar-a router app egress      ░░────────────────░░     1.10 ms  4.50 ms
          └ a pspd.ServiceA/SayHello         ████████████████       1.50 ms  3.70 ms

    where the time went: █ at work, ░ on the way (─ waits for what is below)
    a                 3.70 ms   58%  █████████████████████████
    sidecar-a → a      800 µs   12%  ░░░░░
    edge → sidecar-a   790 µs   12%  ░░░░░
    edge               730 µs   11%  █████
    sidecar-a          400 µs    6%  ███
    """
    assert drawn(call()) == textwrap.dedent(expected)


def test_what_is_missing_failed_or_moved_is_said() -> None:
    behind = replace(call()[2], start_ns=call()[2].start_ns - 3_000_000, end_ns=call()[2].end_ns - 3_000_000)
    failed = replace(call()[4], status="error", status_message="name is longer than 1,024 bytes")
    picture = drawn([*call()[:2], behind, failed])
    assert "parent not here:\n✗ a pspd.ServiceA/SayHello" in picture
    assert "✗ a pspd.ServiceA/SayHello: name is longer than 1,024 bytes" in picture
    assert "! not all here: no span 0000000000000004" in picture
    assert "! the clock of sidecar-a is 2.90 ms behind; its spans were moved" in picture


@pytest.mark.parametrize("width", [20, 50, 79, 80, 120, 300])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    wide = span(6, 5, "サービス" * 20, "名前" * 200, 2000, 2100)
    for spans in (call(), [*call(), wide], [wide]):
        assert all(cell_len(line) <= width for line in drawn(spans, width).splitlines())


def test_a_wide_terminal_shows_whole_names_and_longer_bars() -> None:
    picture = drawn(call(), 160)
    assert "sidecar-a router app egress" in picture
    assert picture.count("█") > 2 * drawn(call()).count("█")


def test_services_differ_in_colour_and_a_pipe_gets_none() -> None:
    assert "\x1b[36medge" in drawn(call(), colour=True)
    assert "\x1b[32msidecar-a" in drawn(call(), colour=True)
    assert "\x1b" not in drawn(call())


def test_hostile_names_do_not_reach_the_terminal() -> None:
    hostile = "\x1b[2J\x9b31m\r\n\a\u202e[red]bold"
    sent = [replace(s, name=hostile, service=hostile, status="error", status_message=hostile) for s in call()]
    picture = drawn(sent)
    assert not {"\x1b", "\x9b", "\r", "\a", "\u202e"} & set(picture)
    assert "[red]bold" in picture  # text, no markup


@pytest.mark.parametrize(
    "spans", [[span(1, 0, "a", "nothing", 5, 5)], [span(n, n - 1, "a", "deep", 0, 9) for n in range(1, 100)]]
)
def test_odd_traces_are_drawn(spans: list[Span]) -> None:
    assert "█" in drawn(spans)


def test_no_spans_are_no_trace() -> None:
    with pytest.raises(ValueError, match="empty"):
        render([])


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0"),
        (999, "999 ns"),
        (1_000, "1 µs"),
        (812_400, "812 µs"),
        (999_600, "1.00 ms"),
        (6_420_000, "6.42 ms"),
        (31_880_000, "31.9 ms"),
        (364_000_000, "364 ms"),
        (1_200_000_000, "1.20 s"),
        (300_000_000_000, "300 s"),
    ],
)
def test_a_duration_has_three_digits_and_a_unit(ns: int, text: str) -> None:
    assert duration(ns) == text


def test_marks_of_an_axis_are_round_and_few() -> None:
    assert [rounded(t) for t in ticks(6_420_000, 8)] == ["0", "1 ms", "2 ms", "3 ms", "4 ms", "5 ms", "6 ms"]
    assert [rounded(t) for t in ticks(6_420_000, 4)] == ["0", "2 ms", "4 ms", "6 ms"]
    assert all(len(ticks(total, 8)) <= 8 for total in range(1, 100_000, 37))
