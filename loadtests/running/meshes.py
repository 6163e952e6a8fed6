"""The meshes that are measured, as anybody sees them: through the `meshlog` command.

Rules: a mesh that runs is measured as it is, and left running. One that is down is started from manifests/bench.toml and
ended afterwards. Variants (without the journal, without traces) are meshes of their own beside it, idle while they are not
measured, so that runs with and without can be interleaved.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.errors import PathUnusable
from loadtests.model.plan import BESIDE
from loadtests.running.resources import Watched, watched

BENCH_TOML = Path(__file__).parents[2] / "manifests" / "bench.toml"
COMMAND_SECONDS = 120.0
VARIANT_PORTS = 1_000  # each variant's ports above those of the one before

# variant -> what it adds to the topology file, and to the environment of `meshlog up`. A mesh that has borne other loads
# takes more CPU a call than a fresh one, so variants are compared with one that is like them in all but that.
VARIANTS: dict[str, tuple[str, dict[str, str]]] = {
    BESIDE: ("", {}),
    "journal-off": ("\n[on.laptop.edge]\njournal = false\n", {}),
    "tracing-off": (
        "\n[on.laptop.telemetry]\nsampling_percent = 0\n",
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_SAMPLER": "always_off"},
    ),
}


@dataclass(frozen=True, slots=True)
class Mesh:
    """A mesh that is up."""

    name: str
    grpc_port: int
    rest_port: int
    sink: str  # where its traces are asked for: "http://127.0.0.1:4318"; empty: not here
    services: frozenset[str]

    def watched(self) -> list[Watched]:
        """Its processes now. Raises: PathUnusable, Vanished."""
        return [watched(p["name"], p["kind"], p["pid"]) for p in _status(self.name)["processes"] if p["pid"]]


@contextlib.contextmanager
def mesh_up(name: str, *, port_offset: int = 0) -> Iterator[Mesh]:
    """The mesh called `name`: as it runs, or started for as long as the block. Raises: PathUnusable."""
    if _status(name)["processes"]:
        yield _seen(name)
        return
    with _started(name, BENCH_TOML, port_offset, {}) as mesh:
        yield mesh


@contextlib.contextmanager
def variant_up(name: str, variant: str, *, port_offset: int) -> Iterator[Mesh]:
    """A mesh beside the others that differs by `variant`. Raises: PathUnusable."""
    addition, environment = VARIANTS[variant]
    with tempfile.TemporaryDirectory(prefix="meshlog-bench-") as directory:
        file = Path(directory) / "topology.toml"
        file.write_text(BENCH_TOML.read_text(encoding="utf-8") + addition, encoding="utf-8")
        with _started(f"{name[:16]}-{variant}", file, port_offset, environment) as mesh:
            yield mesh


@contextlib.contextmanager
def _started(name: str, file: Path, port_offset: int, environment: dict[str, str]) -> Iterator[Mesh]:
    arguments = ["up", "--detach", "--json", "-f", str(file), "--port-offset", str(port_offset)]
    _meshlog(name, *arguments, environment=environment)
    try:
        yield _seen(name)
    finally:
        _meshlog(name, "down")


def _seen(name: str) -> Mesh:
    """Raises: PathUnusable."""
    status = _status(name)
    if not status["healthy"]:
        raise PathUnusable(f"{name} is not well, so its figures would mean nothing; see `meshlog status --name {name}`")
    processes = status["processes"]
    edge = next((process for process in processes if process["kind"] == "edge"), None)
    if edge is None:
        raise PathUnusable(f"{name} has no edge; its topology file opens none")
    sink = next((process for process in processes if process["kind"] == "sink"), None)
    return Mesh(
        name=name,
        grpc_port=edge["ports"][0],
        rest_port=edge["ports"][1],
        sink=f"http://127.0.0.1:{sink['ports'][-1]}" if sink else "",
        services=frozenset(p["name"].rsplit("-", 2)[0] for p in processes if p["kind"] == "workload"),
    )


def _status(name: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(_meshlog(name, "status", "--json", check=False))
    return status


def _meshlog(
    name: str, command: str, *arguments: str, check: bool = True, environment: dict[str, str] | None = None
) -> str:
    """What the command prints. Raises: PathUnusable with its sentence."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mesh.cli.main", command, "--name", name, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
            env={**os.environ, "PYTHONSAFEPATH": "1", **(environment or {})},
        )
    except subprocess.TimeoutExpired:
        raise PathUnusable(f"`meshlog {command} --name {name}` did not end within {COMMAND_SECONDS:g} s") from None
    if check and done.returncode:
        said = done.stderr.strip().splitlines()
        raise PathUnusable(said[-1].removeprefix("meshlog: ") if said else f"`meshlog {command} --name {name}` failed")
    return done.stdout
