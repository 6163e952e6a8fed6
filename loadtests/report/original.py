"""The original report's Table 4, as printed and as meant, and what is odd about it. Pure.

Source: "Trabalho 1, PSPD, Universidade de Brasília, 2025: D. C. de S. Moreira, E. A. Cantuaria, L. de O. Queiroz,
W. F. Stein". Its figures are facts of public record; nothing here is invented, rounded again or left out.
"""

from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final

SOURCE: Final = "Trabalho 1, PSPD, Universidade de Brasília, 2025: D. C. de S. Moreira, E. A. Cantuaria, L. de O. Queiroz, W. F. Stein"
SECONDS_FROM_USERS: Final = 400  # from here on the gRPC column, headed "ms", is in seconds
CALLS_A_JOURNEY: Final = 2  # A, then B
WORKERS: Final = 10  # threads of its gRPC servers
STREAM_SECONDS: Final = 0.0567  # of ten numbers 5 ms apart on such a worker: 50 ms of pauses, and the work


@dataclass(frozen=True, slots=True)
class Row:
    users: int
    grpc_mean: float  # as printed, under "Tempo médio gRPC (ms)"
    rest_mean: float  # as printed, under "Tempo médio REST (s)"
    grpc_throughput: float  # "Throughput gRPC (req/s)"
    rest_throughput: float  # "Throughput REST (req/s)"

    @property
    def grpc_mean_ms(self) -> float:
        """As meant."""
        return self.grpc_mean * 1_000 if self.users >= SECONDS_FROM_USERS else self.grpc_mean

    @property
    def rest_mean_ms(self) -> float:
        return self.rest_mean * 1_000

    @property
    def grpc_little_ms(self) -> float:
        """What the mean must be in a closed loop, by Little's law: users over throughput."""
        return self.users / self.grpc_throughput * 1_000

    @property
    def rest_little_ms(self) -> float:
        return self.users / self.rest_throughput * 1_000


TABLE_4: Final = (
    Row(25, 76.13, 28.21, 342.29, 0.44),
    Row(50, 150.9, 28.43, 351.05, 0.88),
    Row(100, 292.57, 28.41, 348.52, 1.76),
    Row(200, 549.61, 28.24, 362.04, 3.53),
    Row(400, 1.07, 28.37, 359.29, 7.05),
    Row(800, 2.14, 28.35, 345.54, 14.12),
    Row(1_600, 5.18, 28.23, 269.23, 28.24),
    Row(3_200, 10.48, 28.26, 242.82, 56.76),
)


def oddities() -> tuple[tuple[str, str], ...]:
    """What is odd, each with its arithmetic."""
    last, first = next((a, b) for a, b in pairwise(TABLE_4) if b.users == SECONDS_FROM_USERS)
    stalls_s = [row.rest_little_ms / 1_000 for row in TABLE_4]
    mean_s = fmean(row.rest_mean for row in TABLE_4)
    flat = [row.grpc_throughput for row in TABLE_4 if row.users <= 800]
    journeys = fmean(flat) / CALLS_A_JOURNEY
    return (
        (
            f"The unit changes within one column at {first.users} users.",
            f"The mean of gRPC falls from {last.grpc_mean:g} to {first.grpc_mean:g} under the heading ms while the "
            f"throughput stays. Users over throughput is {first.users} / {first.grpc_throughput:g} = "
            f"{first.grpc_little_ms / 1_000:.2f} s, so the rest of the column is in seconds.",
        ),
        (
            "REST stalls, and the stall does not depend on load.",
            f"Users over REST's throughput is {min(stalls_s):.1f} to {max(stalls_s):.1f} s at all {len(TABLE_4)} loads "
            f"({TABLE_4[0].users} / {TABLE_4[0].rest_throughput:g} = {stalls_s[0]:.1f}, {TABLE_4[-1].users:,} / "
            f"{TABLE_4[-1].rest_throughput:g} = {stalls_s[-1]:.1f}), which is {fmean(stalls_s) / mean_s:.2f} times its mean of "
            f"{mean_s:.1f} s. A server that is short of something slows down with users; this one takes as long for "
            f"{TABLE_4[0].users} as for {TABLE_4[-1].users:,}. Counted so, each user finished one journey of "
            f"{CALLS_A_JOURNEY} calls in the whole run: the column is users over the length of the run, and says nothing of REST.",
        ),
        (
            "gRPC's curve is that of a thread pool.",
            f"Its throughput is flat up to 800 users, {min(flat):.0f} to {max(flat):.0f} calls/s, "
            f"{fmean(flat):.0f} / {CALLS_A_JOURNEY} = {journeys:.0f} journeys/s. {WORKERS} worker threads that each hold a "
            f"stream for about {STREAM_SECONDS * 1_000:.0f} ms can do {WORKERS} / {STREAM_SECONDS:g} s = "
            f"{WORKERS / STREAM_SECONDS:.0f} streams/s: the server waits in pauses, whatever the protocol.",
        ),
        (
            "Both ran at once.",
            "By its own account the scripts of both paths ran in parallel, on one machine: each disturbed the other.",
        ),
        (
            "Nothing says how sure it is.",
            "There is one run a load and no repetition, and the generator ran on the machine that it measured.",
        ),
        ("Resources are missing.", "The consumption of resources is promised and not shown."),
    )


def as_printed(row: Row) -> tuple[str, ...]:
    """Users, then the four columns, with what is meant where it is not what is printed."""
    meant = f" (means {row.grpc_mean:g} s)" if row.users >= SECONDS_FROM_USERS else ""
    columns = (f"{row.rest_mean:g}", f"{row.grpc_throughput:g}", f"{row.rest_throughput:g}")
    return (f"{row.users:,}", f"{row.grpc_mean:g}{meant}", *columns)
