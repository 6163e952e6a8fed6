"""The two load scripts in the original report's form: 100 users, on either path, and no failed call."""

import json
import subprocess
from pathlib import Path

import pytest

from mesh.tests.meshes import Mesh, until

pytestmark = [pytest.mark.mesh, pytest.mark.tool("k6"), pytest.mark.timeout(240)]

SECONDS = 5  # the report's 30 s, cut short
SCRIPTS = Path(__file__).parents[1] / "k6"


@pytest.mark.parametrize("path", ["grpc", "rest"])
def test_the_reports_journey_fails_no_call_and_every_call_is_in_the_log(mesh: Mesh, path: str, tmp_path: Path) -> None:
    recorded = mesh.status()["calls"]["recorded"]
    summary = tmp_path / "summary.json"
    command = ["k6", "run", "--quiet", "--no-usage-report", "--summary-export", str(summary)]
    command += [
        "-e",
        f"DURATION={SECONDS}s",
        "-e",
        f"HOST=localhost:{getattr(mesh, path)}",
        str(SCRIPTS / f"{path}.js"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads(summary.read_text())["metrics"]
    requests = metrics["http_reqs"]["count"]
    print(
        f"{path}: {requests / SECONDS:.0f} calls/s, mean {metrics['http_req_duration']['avg']:.1f} ms, p99 {metrics['http_req_duration']['p(99)']:.1f} ms"
    )
    assert requests > 500
    assert metrics["checks"]["fails"] == 0
    until(lambda: mesh.status()["calls"]["recorded"] >= recorded + requests, 60, 1.0)
    assert mesh.status()["calls"]["lost"] == 0
