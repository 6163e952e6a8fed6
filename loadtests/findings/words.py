"""Figures, arms and loads as people read them. Pure.

Rules: three digits and the unit; what is not known is "—", never nan; names that came from outside are one printable line
of bounded length.
"""

import math
from typing import Final

from loadtests.findings.intervals import Interval
from loadtests.model.cells import Cell
from observability.duration import duration
from observability.waterfall import printable

UNKNOWN: Final = "—"
NAME_MAX: Final = 120  # characters of a name or a cause that came from outside

ARMS: Final = {
    "grpc": "gRPC",
    "rest": "REST",
    "native": "native gRPC",
    "direct-grpc": "gRPC without Envoy",
    "direct-rest": "REST without Envoy",
    "reference-grpc": "the reference's gRPC",
    "reference-rest": "the reference's REST",
}
SERVERS: Final = {
    "grpc": "Python's gRPC server",
    "native": "Python's gRPC server",
    "direct-grpc": "Python's gRPC server",
    "rest": "Sanic",
    "direct-rest": "Sanic",
    "reference-grpc": "the reference's threaded gRPC server",
    "reference-rest": "the reference's FastAPI",
}
_SUBJECTS: Final = {"report": "the report's journey", "a": "A", "b": "B", "echo": "the echo"}


def shown(text: str, at_most: int = NAME_MAX) -> str:
    """A name or a cause from outside."""
    line = printable(text[: at_most + 1])
    return f"{line[:at_most]}…" if len(line) > at_most else line


def arm(cell: Cell) -> str:
    variant = {"": "", "again": " again", "beside": " beside"}.get(
        cell.variant, f" with {shown(cell.variant).replace('-', ' ')}"
    )
    return ARMS.get(cell.path, shown(cell.path)) + variant


def load(cell: Cell) -> str:
    """The question: "A at 25 users"; what is as usual is not said."""
    said = [_SUBJECTS.get(cell.journey, shown(cell.journey))]
    if cell.journey == "echo":
        said[0] += f" of {cell.payload_bytes:,} B"
    if cell.journey in ("b", "report") and (cell.count, cell.delay_ms) != (10, 5):
        said[0] += f" ({many(cell.count, 'number')}, {cell.delay_ms:,} ms apart)"
    said[0] += f" at {number(cell.rate)} calls/s (open loop)" if cell.rate else f" at {many(cell.users, 'user')}"
    said += [] if cell.reuse else ["a connection per call"]
    said += [f"HTTP/{shown(cell.http)}"] if cell.http != "1.1" else []
    return ", ".join(said)


def sentence(text: str) -> str:
    """`text` with a capital at its beginning, but not where its first word is a name like gRPC."""
    return text if text.startswith("gRPC") else text[:1].upper() + text[1:]


def latency(us: float) -> str:
    return duration(round(us * 1_000)) if math.isfinite(us) else UNKNOWN


def number(value: float) -> str:
    """Three digits at least, and no digit of a whole number left out: 0.44, 56.7, 1,234."""
    if not math.isfinite(value):
        return UNKNOWN
    digits = 0 if abs(value) >= 99.95 or value == int(value) else 1 if abs(value) >= 9.995 else 2
    return f"{value:,.{digits}f}"


def percent(share: float) -> str:
    """0.02 %, 3.1 %, 98 %; never 0 % for some, nor 100 % for not quite all."""
    if not math.isfinite(share):
        return UNKNOWN
    figure = share * 100
    if figure in (0, 100):
        return f"{figure:.0f} %"
    if figure < 0.01 or figure > 99.99:
        return "under 0.01 %" if figure < 1 else "over 99.99 %"
    digits = 2 if figure < 1 or figure > 99.9 else 1 if figure < 10 or figure > 99 else 0
    return f"{figure:.{digits}f} %"


def latency_interval(of: Interval) -> str:
    """3.12 ms [3.05, 3.19]: all three in the unit of the mean; the mean alone where the interval is not known."""
    if not math.isfinite(of.mean):
        return UNKNOWN
    figure, _, unit = latency(of.mean).partition(" ")
    size = {"s": 1e6, "ms": 1e3, "µs": 1.0}.get(unit, 1.0)
    digits = len(figure.partition(".")[2])
    return f"{figure} {unit}".strip() + _bounds(of.low / size, of.high / size, digits)


def number_interval(of: Interval) -> str:
    text = number(of.mean)
    return text if text == UNKNOWN else text + _bounds(of.low, of.high, len(text.partition(".")[2]))


def times(factor: float) -> str:
    """How many times as much: 1.8 times, 12 times, 1.04 times; enough digits that it is not "1.0 times"."""
    if not math.isfinite(factor):
        return "many times"
    digits = 0 if factor >= 9.95 else 1 if factor >= 1.15 else 2 if factor >= 1.015 else 3
    return f"{factor:,.{digits}f} times"


def many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"


def listed(things: list[str], at_most: int) -> str:
    """The first ones by name, the others as a number."""
    more = len(things) - at_most
    return ", ".join(things[:at_most]) + (f" and {more:,} more" if more > 0 else "")


def _bounds(low: float, high: float, digits: int) -> str:
    return f" [{low:,.{digits}f}, {high:,.{digits}f}]" if math.isfinite(low) and math.isfinite(high) else ""
