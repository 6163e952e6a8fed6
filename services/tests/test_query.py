"""A query means to the REST twins what it means to Envoy 1.40's transcoder; each row was asked of a real one."""

from contextlib import suppress
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.query import INT32_MAX, INT32_MIN, int32, parameters, text
from services.rules import InvalidArgument

NAMES = ("name",)
NUMBERS = ("count", "delay_ms")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", ""),
        ("name", ""),  # without "=" it asks for nothing
        ("name=", ""),
        ("=1", ""),
        ("&", ""),
        ("foo", ""),
        ("name=a&name=b", "b"),
        ("name=a&&name=c", "c"),
        ("name=a+b", "a b"),
        ("name=a%2Bb", "a+b"),
        ("name=%C3%A9", "é"),
        ("name=%zz", "%zz"),
        ("name=%", "%"),
        ("name=%4", "%4"),
        ("name=%2541", "%41"),
        ("name=a%00b", "a\0b"),
        ("name=a=b", "a=b"),
        ("name=a;name=b", "a;name=b"),
        ("n%61me=b", "b"),
    ],
)
def test_a_name_is_read_as_the_transcoder_reads_it(query: str, name: str) -> None:
    assert text("name", parameters(query, NAMES)) == name


@pytest.mark.parametrize(
    "query", ["foo=1", "Name=b", "name%20=b", "name.x=b", ".name=b", "na+me=b", "name%3D=x", "%FF=1"]
)
def test_an_unknown_parameter_is_refused_and_the_known_ones_are_told(query: str) -> None:
    with pytest.raises(InvalidArgument, match="there are: name"):
        parameters(query, NAMES)


@pytest.mark.parametrize("query", ["name=%FF", "name=%ED%A0%80", "name=a%C3"])
def test_text_that_is_not_utf8_is_refused(query: str) -> None:
    with pytest.raises(InvalidArgument, match="name is text in UTF-8"):
        parameters(query, NAMES)


@pytest.mark.parametrize(
    ("query", "count", "delay_ms"),
    [
        ("", 0, 0),
        ("count", 0, 0),
        ("count=3&delay_ms=7", 3, 7),
        ("count=3&delayMs=7", 3, 7),
        ("delay_ms=3&delayMs=4", 0, 4),
        ("delay%5Fms=7", 0, 7),
        ("count=%2B3", 3, 0),
        ("count=-3", -3, 0),
        ("count=-0", 0, 0),
        ("count=03", 3, 0),
        ("count=00000000000000000000000003", 3, 0),
        ("count=%33", 3, 0),
        ("count=3&count=4", 4, 0),
        ("count=2147483647", INT32_MAX, 0),
        ("count=-2147483648", INT32_MIN, 0),
    ],
)
def test_numbers_are_read_as_the_transcoder_reads_them(query: str, count: int, delay_ms: int) -> None:
    given_ = parameters(query, NUMBERS)
    assert (int32("count", given_), int32("delay_ms", given_)) == (count, delay_ms)


@pytest.mark.parametrize(
    "query",
    [
        *("count=", "count=+3", "count=%203", "count=3%20", "count=--3", "count=-", "count=+", "count=%2B-3"),
        *("count=0x10", "count=1e9", "count=3.0", "count=1_0", "count=abc", "count=null", "count=true"),
        *("count=2147483648", "count=-2147483649", "count=99999999999", "count=" + "9" * 50_000),
        *("count=%D9%A3", "count=3%00", "count=3%0A", "count=%", "count=abc&count=3", "count=3&count=abc"),
    ],
)
def test_what_is_no_int32_is_refused_by_name(query: str) -> None:
    with pytest.raises(InvalidArgument, match="count is a whole number") as refused:
        int32("count", parameters(query, NUMBERS))
    assert refused.value.parameter == "count"
    assert len(str(refused.value)) < 150


@given(st.text())
def test_every_text_survives_its_escaping(name: str) -> None:
    for escaped in (quote(name, safe=""), quote_plus(name)):
        assert text("name", parameters(f"name={escaped}", NAMES)) == name


@given(st.integers())
def test_an_integer_is_read_exactly_when_it_has_32_bits(number: int) -> None:
    given_ = {"count": [str(number)]}
    if INT32_MIN <= number <= INT32_MAX:
        assert int32("count", given_) == number
    else:
        with pytest.raises(InvalidArgument):
            int32("count", given_)


@given(st.text())
def test_no_query_whatever_does_more_than_be_refused(query: str) -> None:
    with suppress(InvalidArgument):
        int32("count", parameters(query, NUMBERS))
