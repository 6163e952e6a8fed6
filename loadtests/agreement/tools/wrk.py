"""wrk: one route over HTTP/1.1, called by a single thread.

What it counts: from when a request is written to when its last byte is read. Connecting is left out, bodies are not
looked at, and calls under way at the end are left out. A call that is answered too late counts as an error; one that is
never answered does not count at all.

Its own figures are not what it measured: for every latency above twice the mean it adds samples that it did not take
(`stats_correct` in its source, an attempt at coordinated omission). That is undone here, exactly: what is compared is a
closed loop. What is left must be as many samples as there were calls.
"""

import math
from pathlib import Path
from typing import Final

import msgspec

from loadtests.agreement.tools.program import UNSAMPLED, found, run_load, version_of
from loadtests.agreement.tools.result import Load, ToolFailed, ToolResult, refuse
from loadtests.model.cells import Cell

NAME: Final = "wrk"
SOURCE: Final = "Debian and others have a package of that name (apt-get install wrk)"
SCRIPT: Final = Path(__file__).with_name("wrk.lua")
CAUSES: Final = {"connect": "not connected", "read": "read failed", "write": "write failed"}
CAUSES_OF_ANSWERED: Final = {"status": "HTTP 400 or more", "timeout": "timeout"}


class _Said(msgspec.Struct, frozen=True):
    """What wrk.lua writes."""

    duration_us: int
    requests: int  # answered, however
    errors: dict[str, int]
    latencies: list[tuple[int, int]]  # microseconds, calls


def run(load: Load) -> ToolResult:
    """Raises: NotInstalled, CannotRun, ToolFailed."""
    cell = load.cell
    refuse(
        NAME,
        cell,
        [
            (cell.path not in ("grpc", "rest"), "it speaks HTTP, to one of the edge's two JSON ports"),
            (cell.journey not in ("a", "b"), "it calls one route"),
            (cell.loop == "open", "its loop is closed"),
            (cell.http != "1.1", "it speaks HTTP/1.1"),
        ],
    )
    path = found(NAME, SOURCE)
    version = version_of(path).split()[1]
    ended = run_load(load, lambda seconds: _command(path, load, seconds))
    return _result(ended.stderr, cell, version, ended.cpu_seconds, ended.machine_busy)


def uncorrected(latencies: list[tuple[int, int]], expected_us: int) -> list[tuple[int, int]]:
    """What was measured, of a distribution to which wrk has added samples. expected_us: the interval it did it with.

    Going down from the largest latency, every one met is free of what larger ones added, and so is known.
    """
    counts = dict(latencies)
    for latency, _ in sorted(latencies, reverse=True):
        if latency < 2 * expected_us:
            break
        for added in range(latency - expected_us, expected_us, -expected_us) if counts[latency] else ():
            counts[added] = counts.get(added, 0) - counts[latency]
    return sorted((latency, count) for latency, count in counts.items() if count)


def _command(path: str, load: Load, seconds: float) -> list[str]:
    command = [path, "--threads", "1", "--connections", str(load.cell.users), "--script", str(SCRIPT)]
    command += ["--duration", f"{math.ceil(seconds)}s", "--timeout", f"{math.ceil(load.timeout_seconds)}s"]
    command += ["--header", f"traceparent: {UNSAMPLED}"]
    command += [] if load.cell.reuse else ["--header", "Connection: close"]
    return [*command, f"http://{load.host}{_route(load.cell)}"]


def _route(cell: Cell) -> str:
    return "/a/hello?name=pspd" if cell.journey == "a" else f"/b/numbers?count={cell.count}&delay_ms={cell.delay_ms}"


def _result(said: str, cell: Cell, version: str, cpu_seconds: float, machine_busy: float) -> ToolResult:
    try:
        read = msgspec.json.decode(said.strip().rpartition("\n")[2], type=_Said)
    except msgspec.DecodeError as error:
        raise ToolFailed(f"wrk {version} wrote no line of JSON to stderr ({error}) but: {said[-1000:]}") from None
    latencies = read.latencies
    if read.requests >= cell.users:  # as wrk does
        latencies = uncorrected(latencies, read.duration_us // (read.requests // cell.users))
    taken = sum(calls for _, calls in latencies)
    if taken != read.requests - read.errors["timeout"] or any(calls < 0 for _, calls in latencies):
        raise ToolFailed(
            f"wrk {version} counts {read.requests} calls, but {taken} latencies are left without those it has added: "
            "it adds them in another way than loadtests/tools/wrk.py knows"
        )
    causes = CAUSES | CAUSES_OF_ANSWERED
    errors = {causes[kind]: calls for kind, calls in read.errors.items() if calls}
    if not read.requests and not errors:
        errors = {"no answer": cell.users}  # one is under way on every connection
    bad = sum(read.errors[kind] for kind in CAUSES_OF_ANSWERED)
    return ToolResult(
        NAME,
        version,
        calls=read.requests - bad,
        seconds=read.duration_us / 1e6,
        min_us=_percentile(latencies, 0),
        mean_us=sum(us * calls for us, calls in latencies) / taken if taken else math.nan,
        p50_us=_percentile(latencies, 50),
        p95_us=_percentile(latencies, 95),
        p99_us=_percentile(latencies, 99),
        max_us=_percentile(latencies, 100),
        errors=errors,
        cpu_seconds=cpu_seconds,
        machine_busy=machine_busy,
    )


def _percentile(latencies: list[tuple[int, int]], percent: float) -> float:
    """By the nearest rank; nan where there is none."""
    rank = max(1, math.ceil(percent / 100 * sum(calls for _, calls in latencies)))
    for us, calls in latencies:
        rank -= calls
        if rank <= 0:
            return float(us)
    return math.nan
