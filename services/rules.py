"""The rules of the contract, for the gRPC services and their REST twins alike. Pure.

name      empty greets "mundo"; at most 1,024 bytes of UTF-8
count     absent or <= 0 means 5; at most 10,000
delay_ms  < 0 means 0; count times delay_ms is at most 300,000 (five minutes)
payload   at most 1,000,000 bytes of UTF-8 (Echo, for benchmarks alone)

What lies over a bound is InvalidArgument at once, never a slow death.
"""

from dataclasses import dataclass
from typing import Final

DEFAULT_NAME: Final = "mundo"
DEFAULT_COUNT: Final = 5
NAME_BYTES_MAX: Final = 1_024
COUNT_MAX: Final = 10_000
PAUSES_MS_MAX: Final = 300_000
PAYLOAD_BYTES_MAX: Final = 1_000_000
SHOWN_CHARACTERS_MAX: Final = 32  # of a value in an error: enough to recognise it, too little to flood a log


class InvalidArgument(ValueError):
    """The caller asked for what the contract does not allow. `str(error)` is the sentence that the caller reads."""

    def __init__(self, parameter: str, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.parameter = parameter  # empty: the request as a whole
        self.reason = reason  # for programs: "TOO_LONG", "TOO_LARGE", "NOT_A_NUMBER", ...


@dataclass(frozen=True, slots=True)
class Numbers:
    """What B sends: 1, 2, ... `count`, with a pause of `delay_ms` after every value, the last included."""

    count: int
    delay_ms: int


def greeting(name: str, by: str) -> str:
    """What A says to `name`; `by` is who says it: "A" or "A-REST".

    Raises: InvalidArgument.
    """
    size_bytes = len(name.encode())
    if size_bytes > NAME_BYTES_MAX:
        raise InvalidArgument(
            "name",
            "TOO_LONG",
            f"name is at most {NAME_BYTES_MAX:,} bytes of UTF-8; {shown(name)} has {size_bytes:,}",
        )
    return f"Olá, {name or DEFAULT_NAME}! [{by}]"


def numbers(count: int, delay_ms: int) -> Numbers:
    """What B sends to a caller that asked for `count` and `delay_ms`; 0 is an absent one.

    Raises: InvalidArgument.
    """
    if count > COUNT_MAX:
        raise InvalidArgument("count", "TOO_LARGE", f"count is at most {COUNT_MAX:,}; {count} was given")
    asked = Numbers(count if count > 0 else DEFAULT_COUNT, max(delay_ms, 0))
    pauses_ms = asked.count * asked.delay_ms
    if pauses_ms > PAUSES_MS_MAX:
        raise InvalidArgument(
            "delay_ms",
            "TOO_LARGE",
            f"count times delay_ms is at most {PAUSES_MS_MAX:,} ms; "
            f"{asked.count} times {asked.delay_ms} is {pauses_ms:,}",
        )
    return asked


def echoed(payload: str) -> str:
    """What Echo says to `payload`: the same.

    Raises: InvalidArgument.
    """
    size_bytes = len(payload.encode())
    if size_bytes > PAYLOAD_BYTES_MAX:
        sentence = f"payload is at most {PAYLOAD_BYTES_MAX:,} bytes of UTF-8; {size_bytes:,} were given"
        raise InvalidArgument("payload", "TOO_LONG", sentence)
    return payload


def shown(value: str) -> str:
    """`value` as an error shows it: quoted, shortened."""
    short = value if len(value) <= SHOWN_CHARACTERS_MAX else f"{value[:SHOWN_CHARACTERS_MAX]}…"
    return f'"{short}"'
