"""The rules of the contract, at their bounds and beyond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.rules import COUNT_MAX, NAME_BYTES_MAX, PAUSES_MS_MAX, InvalidArgument, Numbers, echoed, greeting, numbers

INT32 = st.integers(-(2**31), 2**31 - 1)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Edilberto", "Olá, Edilberto! [A]"),
        ("", "Olá, mundo! [A]"),
        ("é\0<&>", "Olá, é\0<&>! [A]"),
        (" ", "Olá,  ! [A]"),
    ],
)
def test_a_greets_in_portuguese_and_an_empty_name_is_the_world(name: str, says: str) -> None:
    assert greeting(name, by="A") == says


@given(st.text(max_size=1_100))
def test_a_name_is_refused_exactly_when_it_has_more_bytes_than_allowed(name: str) -> None:
    if len(name.encode()) <= NAME_BYTES_MAX:
        assert name in greeting(name, by="A")
    else:
        with pytest.raises(InvalidArgument, match="name is at most 1,024 bytes"):
            greeting(name, by="A")


def test_bytes_count_and_not_letters() -> None:
    assert greeting("é" * 512, by="A")
    with pytest.raises(InvalidArgument, match="has 1,026"):
        greeting("é" * 513, by="A")


@pytest.mark.parametrize(
    ("count", "delay_ms", "asked"),
    [
        (0, 0, Numbers(5, 0)),
        (-1, -1, Numbers(5, 0)),
        (1, 300_000, Numbers(1, 300_000)),
        (10_000, 30, Numbers(10_000, 30)),
        (-(2**31), -(2**31), Numbers(5, 0)),
        (0, 60_000, Numbers(5, 60_000)),
    ],
)
def test_absent_and_negative_numbers_mean_the_defaults(count: int, delay_ms: int, asked: Numbers) -> None:
    assert numbers(count, delay_ms) == asked


@pytest.mark.parametrize(
    ("count", "delay_ms", "parameter"),
    [
        (10_001, 0, "count"),
        (2**31 - 1, 2**31 - 1, "count"),
        (10_000, 31, "delay_ms"),
        (0, 60_001, "delay_ms"),  # it is the five of the default that count
        (1, 300_001, "delay_ms"),
    ],
)
def test_what_lies_over_a_bound_names_the_parameter(count: int, delay_ms: int, parameter: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        numbers(count, delay_ms)
    assert refused.value.parameter == parameter
    assert parameter in str(refused.value)


@given(INT32, INT32)
def test_b_never_promises_more_than_the_bounds(count: int, delay_ms: int) -> None:
    try:
        asked = numbers(count, delay_ms)
    except InvalidArgument:
        assert count > COUNT_MAX or max(count, 5) * delay_ms > PAUSES_MS_MAX or count * delay_ms > PAUSES_MS_MAX
    else:
        assert 1 <= asked.count <= COUNT_MAX
        assert 0 <= asked.count * asked.delay_ms <= PAUSES_MS_MAX


def test_an_error_shows_a_long_value_shortened() -> None:
    with pytest.raises(InvalidArgument) as refused:
        greeting("x" * 10_000, by="A")
    assert len(str(refused.value)) < 120


@pytest.mark.parametrize("payload", ["", "\0", "x" * 1_000_000, "é" * 500_000, "😀" * 250_000], ids=len)
def test_a_payload_of_a_megabyte_is_echoed_unchanged(payload: str) -> None:
    assert echoed(payload) == payload


@pytest.mark.parametrize("payload", ["x" * 1_000_001, "é" * 500_001, "😀" * 250_001], ids=len)
def test_a_payload_of_one_byte_more_is_refused_by_its_name(payload: str) -> None:
    with pytest.raises(InvalidArgument, match="payload is at most 1,000,000 bytes") as refused:
        echoed(payload)
    assert (refused.value.parameter, refused.value.reason) == ("payload", "TOO_LONG")
