"""What is measured: one cell is one load on one path. Pure data; everything that tells two measurements apart is here.

Words: a path leads from the client to the work; a journey is what one user does again and again; a route is one call of it.
A loop is closed (each user calls when its last call is answered) or open (calls are due at a constant rate, however
slowly they are answered, and latency counts from when a call was due).
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

Path = Literal["grpc", "rest", "native", "direct-grpc", "direct-rest", "reference-grpc", "reference-rest"]
Journey = Literal["report", "a", "b", "echo"]

PATHS: Final[dict[Path, str]] = {
    "grpc": "JSON over HTTP, transcoded to gRPC at the edge",
    "rest": "JSON over HTTP all the way, to the Sanic twins",
    "native": "gRPC from the client on, through edge and sidecar",
    "direct-grpc": "gRPC straight to the service, without any Envoy",
    "direct-rest": "JSON straight to the Sanic twin, without any Envoy",
    "reference-grpc": "the original report's system: Node, then threaded Python gRPC servers",
    "reference-rest": "the original report's system: Node, then FastAPI",
}
JOURNEYS: Final[dict[Journey, str]] = {
    "report": "the original report's: a greeting from A, then ten numbers from B",
    "a": "one greeting from A (unary)",
    "b": "numbers from B (server streaming)",
    "echo": "a payload there and back (manifests/bench.toml)",
}
RAMP: Final = (25, 50, 100, 200, 400, 800, 1_600, 3_200)  # users, as in the original report


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One load on one path. Two cells that differ in `path` or `variant` alone may be compared."""

    path: str
    journey: str
    users: int
    rate: float = 0.0  # calls a second of all users together; 0: closed loop
    count: int = 10  # of numbers that B sends
    delay_ms: int = 5  # between them
    payload_bytes: int = 10  # of the echo
    reuse: bool = True  # of connections; False: every call opens its own
    http: str = "1.1"  # between a JSON client and the edge: "1.1" or "2"
    variant: str = (
        ""  # of the mesh: "" as it is, "journal-off", "tracing-off"; "again": the same once more, as the A/A control
    )

    @property
    def loop(self) -> str:
        return "open" if self.rate else "closed"

    @property
    def question(self) -> "Cell":
        """The cell without what is compared: cells of one question differ in path and variant alone."""
        return replace(self, path="", variant="")

    @property
    def arm(self) -> str:
        """What is compared within one question: "grpc", "rest", "grpc journal-off"."""
        return f"{self.path} {self.variant}".strip()

    @property
    def load(self) -> str:
        """The question in words: "a, 25 users"; what is as usual is not said."""
        said = [self.journey, f"{self.users:,} users"]
        said += [f"{self.rate:g} calls/s open loop"] if self.rate else []
        if self.journey == "b" and (self.count, self.delay_ms) != (10, 5):
            said.append(f"{self.count} numbers {self.delay_ms} ms apart")
        said += [f"{self.payload_bytes:,} B"] if self.journey == "echo" else []
        said += [] if self.reuse else ["a connection per call"]
        said += [f"HTTP/{self.http}"] if self.http != "1.1" else []
        return ", ".join(said)

    @property
    def id(self) -> str:
        """For files and resumption: equal for equal cells, and for no others."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return ";".join(f"{name}={value}" for name, value in said.items())

    def __str__(self) -> str:
        return f"{self.arm}: {self.load}"


def plain(cell: Cell) -> dict[str, Any]:
    return {field.name: getattr(cell, field.name) for field in fields(cell)}
