"""What we say of the original report follows from its own figures."""

from statistics import fmean

import pytest

from loadtests.report import original
from loadtests.report.original import TABLE_4, Row, oddities


def test_from_400_users_on_the_grpc_column_is_in_seconds() -> None:
    assert [row.grpc_mean_ms for row in TABLE_4] == pytest.approx(
        [76.13, 150.9, 292.57, 549.61, 1_070, 2_140, 5_180, 10_480]
    )


@pytest.mark.parametrize("row", TABLE_4, ids=lambda row: str(row.users))
def test_littles_law_agrees_with_grpc_as_meant_and_not_as_printed(row: Row) -> None:
    assert row.grpc_little_ms == pytest.approx(
        row.grpc_mean_ms, rel=0.3
    )  # two of the loads are cut off by the run's end
    if row.users >= original.SECONDS_FROM_USERS:
        assert row.grpc_little_ms > 900 * row.grpc_mean


@pytest.mark.parametrize("row", TABLE_4, ids=lambda row: str(row.users))
def test_rest_takes_57_seconds_a_user_at_every_load_which_is_twice_its_mean(row: Row) -> None:
    assert row.rest_little_ms == pytest.approx(56_700, rel=0.01)
    assert row.rest_little_ms / row.rest_mean_ms == pytest.approx(2, rel=0.02)


def test_the_throughput_of_grpc_is_that_of_ten_threads_in_pauses() -> None:
    flat = [row.grpc_throughput for row in TABLE_4 if row.users <= 800]
    assert max(flat) / min(flat) < 1.06
    journeys = fmean(flat) / original.CALLS_A_JOURNEY
    assert journeys == pytest.approx(original.WORKERS / original.STREAM_SECONDS, rel=0.01)


def test_the_sentences_show_the_arithmetic() -> None:
    said = " ".join(f"{title} {sentence}" for title, sentence in oddities())
    for shown in ("400 / 359.29 = 1.11 s", "25 / 0.44 = 56.8", "2.00 times its mean of 28.3 s", "10 / 0.0567 s = 176"):
        assert shown in said
    assert "in parallel" in said
    assert "promised and not shown" in said


def test_the_table_shows_what_is_printed_and_what_is_meant() -> None:
    assert original.as_printed(TABLE_4[0]) == ("25", "76.13", "28.21", "342.29", "0.44")
    assert original.as_printed(TABLE_4[-1])[:2] == ("3,200", "10.48 (means 10.48 s)")
