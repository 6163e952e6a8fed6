"""What a query string asks for, read exactly as the edge's transcoder reads it, so that the twins agree. Pure.

Rules, each held against Envoy 1.40's grpc_json_transcoder:
- "+" is a space, in values; %XX is a byte; a "%" that begins no such pair stands for itself; bytes are UTF-8.
- A piece without "=" or without a name asks for nothing: "?count" is "?".
- A parameter may be written as in the contract or as in JSON: delay_ms, delayMs. Others are refused, before values are.
- Of a repeated parameter the last counts, but each must be right.
- An int32 is decimal digits, with a sign if need be: not "", " 3", "1e9", "3.0", and nothing that needs more bits.
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from services.rules import InvalidArgument, shown

INT32_MIN: Final = -(2**31)
INT32_MAX: Final = 2**31 - 1
_DECIMAL: Final = re.compile(r"([+-]?)0*([0-9]{1,10})")  # no more digits: int() of a million of them takes its time


def parameters(query: str, allowed: Sequence[str]) -> dict[str, list[str]]:
    """The values of each parameter, in the order in which they were given.

    Raises: InvalidArgument.
    """
    known = {spelling: name for name in allowed for spelling in (name, _as_in_json(name))}
    split = (piece.partition("=") for piece in query.split("&"))
    pieces = [(_unescaped(name), value) for name, equals, value in split if name and equals]
    for spelling, _ in pieces:
        if spelling not in known:
            sentence = f"there is no parameter {shown(spelling)} here; there are: {', '.join(allowed) or 'none'}"
            raise InvalidArgument(spelling[:64], "UNKNOWN_PARAMETER", sentence)
    given: dict[str, list[str]] = {}
    for spelling, value in pieces:
        name = known[spelling]
        given.setdefault(name, []).append(_decoded(name, value))
    return given


def text(name: str, given: dict[str, list[str]]) -> str:
    """The text that was given last; empty if there is none, as in the contract."""
    return given.get(name, [""])[-1]


def int32(name: str, given: dict[str, list[str]]) -> int:
    """The number that was given last; 0 if there is none, as in the contract.

    Raises: InvalidArgument.
    """
    number = 0
    for value in given.get(name, ()):
        decimal = _DECIMAL.fullmatch(value)
        number = int(decimal[1] + decimal[2]) if decimal else INT32_MAX + 1
        if not INT32_MIN <= number <= INT32_MAX:
            sentence = f"{name} is a whole number from {INT32_MIN} to {INT32_MAX}; {shown(value)} was given"
            raise InvalidArgument(name, "NOT_A_NUMBER", sentence)
    return number


def _decoded(name: str, value: str) -> str:
    try:
        return unquote_to_bytes(value.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise InvalidArgument(name, "NOT_UTF8", f"{name} is text in UTF-8; {shown(value)} is not") from None


def _unescaped(name: str) -> str:
    return unquote_to_bytes(name).decode(errors="replace")  # what is replaced is no parameter's name


def _as_in_json(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
