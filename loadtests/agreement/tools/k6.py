"""k6: the original report's tool, with its journey or one route of it (loadtests/k6), over HTTP/1.1.

What it counts: `http_req_duration`, which is sending, waiting and receiving the whole body. Connecting, and waiting for a
connection, are left out; so is what k6's JavaScript does with an answer (it reads and checks every body), for which the
user's next call waits. A call under way at the end is waited for and counts, and so does the time it takes. Latencies are
of calls that were answered with HTTP 200.
"""

import math
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from loadtests.agreement.tools import program
from loadtests.agreement.tools.program import UNSAMPLED, Ended, found, run_load
from loadtests.agreement.tools.result import Load, ToolFailed, ToolResult, refuse

NAME: Final = "k6"
SOURCE: Final = "https://k6.io has it, and .ci/install-tools of a checkout builds it with Go"
SCRIPTS: Final = Path(__file__).parents[2] / "k6"
ENDED: Final = (0, 99)  # 99: a threshold of the script was not met, because calls failed; the summary says which
ANSWERED: Final = "http_req_duration{expected_response:true}"
FAILED: Final = "failed_"
CAUSES: Final = {
    "otherwise": "other",
    "wrong_answer": "wrong answer",
    "1000": "connection ended",  # k6's generic error: the end of the connection, mostly
    "1050": "timeout",
    "1201": "broken pipe",
    "1211": "connecting timed out",
    "1212": "connection refused",
    "1220": "connection reset",
}

Metrics = dict[str, dict[str, object]]


class _Summary(msgspec.Struct, frozen=True):
    metrics: Metrics


def run(load: Load) -> ToolResult:
    """Raises: NotInstalled, CannotRun, ToolFailed."""
    cell = load.cell
    refuse(
        NAME,
        cell,
        [
            (cell.path not in ("grpc", "rest"), "its scripts speak JSON to the edge"),
            (cell.journey not in ("report", "a", "b"), "its scripts have no such journey"),
            (cell.loop == "open", "its scripts' loop is closed"),
            (cell.http != "1.1", "without TLS it speaks HTTP/1.1 only"),
        ],
    )
    path = found(NAME, SOURCE)
    version = program.run([path, "version"], limit_seconds=10, good=(0,)).stdout.split()[1]
    with tempfile.TemporaryDirectory() as directory:
        summary = Path(directory) / "summary.json"
        ended = run_load(load, lambda seconds: _command(path, load, seconds, summary), good=ENDED)
        try:
            read = msgspec.json.decode(summary.read_bytes(), type=_Summary)
        except (OSError, msgspec.DecodeError) as error:
            raise ToolFailed(f"k6 {version} wrote no summary ({error}); it said: {ended.stderr[-1000:]}") from None
    return _result(read.metrics, load, version, ended)


def _command(path: str, load: Load, seconds: float, summary: Path) -> list[str]:
    cell = load.cell
    said = {
        "HOST": load.host,
        "USERS": cell.users,
        "DURATION": f"{max(seconds, 1.0):g}s",  # k6 refuses less
        "JOURNEY": cell.journey,
        "COUNT": cell.count,
        "DELAY_MS": cell.delay_ms,
        "TIMEOUT": f"{load.timeout_seconds:g}s",
        "TRACEPARENT": UNSAMPLED,
    }
    command = [path, "run", "--quiet", "--no-usage-report", "--no-color", "--summary-export", str(summary)]
    command += [] if cell.reuse else ["--no-connection-reuse"]
    for name, value in said.items():
        command += ["-e", f"{name}={value}"]
    return [*command, str(SCRIPTS / f"{cell.path}.js")]


def _result(metrics: Metrics, load: Load, version: str, ended: Ended) -> ToolResult:
    def number(metric: str, name: str) -> float:
        """What the summary says; nan for what it does not have."""
        value = metrics.get(metric, {}).get(name)
        return float(value) if isinstance(value, (int, float)) else math.nan

    made, rate = number("http_reqs", "count"), number("http_reqs", "rate")
    errors = {
        _cause(metric.removeprefix(FAILED)): int(number(metric, "count"))
        for metric in metrics
        if metric.startswith(FAILED)
    }
    calls = (0 if math.isnan(made) else int(made)) - sum(errors.values())
    if not calls and not errors:
        errors = {"no answer": load.cell.users}

    def us(statistic: str) -> float:
        return number(ANSWERED, statistic) * 1e3 if calls else math.nan

    return ToolResult(
        NAME,
        version,
        calls=calls,
        seconds=made / rate if rate > 0 else load.seconds,  # k6 does not say it otherwise
        min_us=us("min"),
        mean_us=us("avg"),
        p50_us=us("med"),
        p95_us=us("p(95)"),
        p99_us=us("p(99)"),
        max_us=us("max"),
        errors=errors,
        cpu_seconds=ended.cpu_seconds,
        machine_busy=ended.machine_busy,
    )


def _cause(code: str) -> str:
    if code in CAUSES:
        return CAUSES[code]
    return f"HTTP {code[1:]}" if "1400" <= code <= "1599" else f"k6 error {code}"
