"""What one user does: its calls, in order, and what a right answer to each is. Pure.

An answer is looked at, every time: a fast error page is no answer. The two systems answer in different shapes, on purpose
(README, "How the two paths differ"), so what is right depends on the path.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from loadtests.model.cells import Cell

NAME: Final = "pspd"  # as the original report's journey greets
HELLO: Final = "/a/hello"
NUMBERS: Final = "/b/numbers"
ECHO: Final = "/echo"
SERVICES: Final = {HELLO: "a", NUMBERS: "b", ECHO: "echo"}  # route -> who answers it


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as a client of either protocol needs it."""

    route: str  # what its results are counted under
    method: str
    target: str  # path and query
    body: bytes
    arguments: dict[str, Any]  # fields of the gRPC request
    right: Any  # what the JSON answer decodes to; for a native call, what its messages come to


def journey(cell: Cell) -> tuple[Call, ...]:
    """The calls of one journey of `cell`. Raises: ValueError for a journey that there is not."""
    match cell.journey:
        case "report":
            return hello(cell), numbers(cell)
        case "a":
            return (hello(cell),)
        case "b":
            return (numbers(cell),)
        case "echo":
            return (echo(cell),)
        case unknown:
            raise ValueError(f"there is no journey {unknown!r}; there are report, a, b, echo")


def hello(cell: Cell) -> Call:
    by = "A-REST" if cell.path in ("rest", "direct-rest", "reference-rest") else "A"
    greeting = f"Olá, {NAME}! [{by}]"
    right: Any = {"message": greeting}
    if cell.path == "reference-grpc":
        right = {"from": "A", "message": greeting}
    if cell.path in ("native", "direct-grpc"):
        right = [greeting]
    return Call(HELLO, "GET", f"{HELLO}?name={quote(NAME)}", b"", {"name": NAME}, right)


def numbers(cell: Cell) -> Call:
    values = list(range(1, cell.count + 1))
    right: Any
    match cell.path:
        case "grpc":
            right = [{"value": value} for value in values]
        case "reference-grpc":
            right = {"from": "B", "values": values}
        case "native" | "direct-grpc":
            right = values
        case _:
            right = {"values": values}
    target = f"{NUMBERS}?count={cell.count}&delay_ms={cell.delay_ms}"
    return Call(NUMBERS, "GET", target, b"", {"count": cell.count, "delay_ms": cell.delay_ms}, right)


def echo(cell: Cell) -> Call:
    payload = ("0123456789" * (cell.payload_bytes // 10 + 1))[: cell.payload_bytes]
    right: Any = [payload] if cell.path in ("native", "direct-grpc") else {"payload": payload}
    body = b'{"payload":"%s"}' % payload.encode()
    return Call(ECHO, "POST", ECHO, body, {"payload": payload}, right)
