"""What a load generator is asked, what it found, and why it can have found nothing.

ToolError
├── NotInstalled   the program is not on PATH; the sentence says where to get it
├── CannotRun      the tool has no way to make this cell's calls
└── ToolFailed     it was run, and there is nothing to read: nobody listens, it ended with an error, it never ended
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtests.model.cells import Cell


class ToolError(Exception):
    pass


class NotInstalled(ToolError):
    def __init__(self, name: str, source: str) -> None:
        super().__init__(f"{name} is not on PATH; {source}")


class CannotRun(ToolError):
    def __init__(self, name: str, cell: Cell, reason: str) -> None:
        super().__init__(f"{name} cannot run {cell}: {reason}")


class ToolFailed(ToolError):
    pass


@dataclass(frozen=True, slots=True)
class Load:
    """One cell, to be run by one tool, once."""

    cell: Cell
    host: str  # "localhost:8080"
    seconds: float
    warmup_seconds: float = 0.0
    timeout_seconds: float = 10.0  # of one call


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One run. Latencies are nan where no call was answered."""

    tool: str
    version: str
    calls: int  # answered well
    seconds: float  # in which they were answered
    min_us: float
    mean_us: float
    p50_us: float
    p95_us: float
    p99_us: float
    max_us: float
    errors: dict[str, int] = field(default_factory=dict)  # cause -> calls
    cpu_seconds: float = 0.0  # of the generator, its start and its statistics included
    machine_busy: float = 0.0  # share of all cores that anybody used meanwhile: 1.0 is all of them

    @property
    def throughput(self) -> float:
        """Answered calls a second."""
        return self.calls / self.seconds

    @property
    def cpu_us_per_call(self) -> float:
        """CPU time that the generator itself took for each answered call."""
        return self.cpu_seconds / self.calls * 1e6 if self.calls else float("nan")

    def between_us(self, users: int) -> float:
        """What passes between an answer and the same user's next call, by Little's law: what latency does not count."""
        return users / self.throughput * 1e6 - self.mean_us if self.calls else float("nan")


def refuse(name: str, cell: Cell, reasons: Sequence[tuple[bool, str]]) -> None:
    """Raises: CannotRun, with the first reason that is so."""
    for so, reason in reasons:
        if so:
            raise CannotRun(name, cell, reason)
