"""ghz: one method of native gRPC, with its messages from the generated descriptor set.

What it counts: from when grpc-go begins a call to when it knows the call's status; a stream to its last message and
trailers. A call that waits for its connection counts that too, as the first one of every connection does. Calls under
way at the end are left out (`--duration-stop ignore`; its default would count them as errors). Its mean is of all calls,
failed ones included, its percentiles are of those that were answered well.
"""

import json
import math
import re
import tempfile
from pathlib import Path
from typing import Final

import msgspec

import services.stubs
from loadtests.agreement.tools.program import UNSAMPLED, Ended, found, run_load, version_of
from loadtests.agreement.tools.result import Load, ToolFailed, ToolResult, refuse
from loadtests.model.cells import Cell

NAME: Final = "ghz"
SOURCE: Final = "https://ghz.sh has it, and .ci/install-tools of a checkout builds it with Go"
DESCRIPTORS: Final = Path(services.stubs.__path__[0]) / "pspd.binpb"
GOOD: Final = "OK"


class _Percentile(msgspec.Struct, frozen=True):
    percentage: int
    latency: int  # nanoseconds, as all times here


class _Report(msgspec.Struct, frozen=True, rename="camel"):
    count: int
    total: int
    average: int
    fastest: int
    slowest: int
    status_code_distribution: dict[str, int]
    latency_distribution: list[_Percentile] | None


def run(load: Load) -> ToolResult:
    """Raises: NotInstalled, CannotRun, ToolFailed."""
    cell = load.cell
    refuse(
        NAME,
        cell,
        [
            (cell.path != "native", "it speaks native gRPC"),
            (cell.journey not in ("a", "b"), "it calls one method"),
            (cell.loop == "open", "it is asked for a closed loop only"),
            (not cell.reuse, "it keeps its connections"),
        ],
    )
    path = found(NAME, SOURCE)
    version = _version(path)
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        ended = run_load(load, lambda seconds: _command(path, load, seconds, report))
        try:
            read = msgspec.json.decode(report.read_bytes(), type=_Report)
        except (OSError, msgspec.DecodeError) as error:
            raise ToolFailed(f"ghz {version} wrote no report ({error}); it said: {ended.stderr[-1000:]}") from None
    return _result(read, cell, version, ended)


def _command(path: str, load: Load, seconds: float, report: Path) -> list[str]:
    users = str(load.cell.users)
    method, message = _call(load.cell)
    command = [path, "--insecure", "--protoset", str(DESCRIPTORS), "--call", method, "--data", json.dumps(message)]
    command += ["--metadata", json.dumps({"traceparent": UNSAMPLED})]
    command += ["--disable-template-functions", "--disable-template-data"]  # nothing of it is to be filled in
    command += ["--concurrency", users, "--connections", users]
    command += ["--duration", f"{seconds:g}s", "--duration-stop", "ignore", "--timeout", f"{load.timeout_seconds:g}s"]
    return [*command, "--format", "json", "--output", str(report), load.host]


def _call(cell: Cell) -> tuple[str, dict[str, str | int]]:
    if cell.journey == "a":
        return "pspd.ServiceA/SayHello", {"name": "pspd"}
    return "pspd.ServiceB/StreamNumbers", {"count": cell.count, "delay_ms": cell.delay_ms}


def _version(path: str) -> str:
    """What it says; where it was built by `go install`, it says "dev", and what Go has noted in the program is right."""
    said = version_of(path).strip()
    if re.fullmatch(r"v?\d+\.\d+\.\d+\S*", said):
        return said
    noted = re.search(rb"\tgithub\.com/bojand/ghz\t(v[^\t\n]+)", Path(path).read_bytes())
    return noted[1].decode() if noted else said


def _result(report: _Report, cell: Cell, version: str, ended: Ended) -> ToolResult:
    calls = report.status_code_distribution.get(GOOD, 0)
    errors = {f"gRPC {code}": calls for code, calls in report.status_code_distribution.items() if code != GOOD}
    if not report.count:
        errors = {"no answer": cell.users}  # one is under way on every connection
    at = {percentile.percentage: percentile.latency for percentile in report.latency_distribution or ()}

    def us(nanoseconds: float) -> float:
        return nanoseconds / 1e3 if calls else math.nan

    return ToolResult(
        NAME,
        version,
        calls=calls,
        seconds=report.total / 1e9,
        min_us=us(report.fastest),
        mean_us=us(report.average),
        p50_us=us(at.get(50, math.nan)),
        p95_us=us(at.get(95, math.nan)),
        p99_us=us(at.get(99, math.nan)),
        max_us=us(report.slowest),
        errors=errors,
        cpu_seconds=ended.cpu_seconds,
        machine_busy=ended.machine_busy,
    )
