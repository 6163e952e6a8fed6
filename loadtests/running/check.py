"""Our generator beside other people's tools, on a real mesh: what `meshlog bench check` runs."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from loadtests.agreement import kept
from loadtests.agreement.ratios import Agreement, sentence
from loadtests.agreement.rounds import CELLS, Plan, as_result, check
from loadtests.agreement.tools import TOOLS
from loadtests.agreement.tools.result import ToolFailed, ToolResult
from loadtests.errors import GeneratorUnusable, NotInstalled
from loadtests.generator.client import Load, generating
from loadtests.model import plan as plans
from loadtests.model import runs
from loadtests.model.cells import Cell
from loadtests.running.bench import Announce, Ending, Wanted, announced, new_run
from loadtests.running.comparison import Target, window
from loadtests.running.meshes import Mesh, mesh_up
from loadtests.running.resources import Roster

WARMUP_SECONDS = 2.0


def checked(
    name: str,
    *,
    port_offset: int,
    rounds: int,
    seconds: float,
    seed: int,
    results: Path,
    announce: Announce,
    say: Callable[[str], None],
) -> tuple[list[Agreement], Path]:
    """The usual cells, by every tool that is on PATH and by ours, in turn; and the directory below `results` that keeps them.

    Raises: NotInstalled where there is no tool at all, PathUnusable, GeneratorUnusable.
    """
    tools = {tool: run for tool, run in TOOLS.items() if shutil.which(tool)}
    if not tools:
        raise NotInstalled(f"none of {', '.join(TOOLS)} is on PATH; install one to hold our figures against its")
    run = new_run(plans.Plan(runs.CHECK, CELLS, rounds, seconds, WARMUP_SECONDS), Wanted(name, port_offset), seed)
    found: list[Agreement] = []
    directory = results / run.id
    directory.mkdir(parents=True)
    runs.write(run, directory)
    with (
        tempfile.TemporaryDirectory(prefix="meshlog-check-") as logs,
        mesh_up(name, port_offset=port_offset) as mesh,
        announced(
            announce, run, lambda outcome: Ending(outcome, verdicts=tuple(_verdicts(found)), results=str(directory))
        ),
        generating(Path(logs), workers=1) as load,
    ):
        plan = Plan(
            hosts={path: f"127.0.0.1:{port}" for path, port in _ports(mesh).items()},
            cells=CELLS,
            seconds=seconds,
            warmup_seconds=WARMUP_SECONDS,
            rounds=rounds,
            seed=seed,
            tools=tools,
        )
        for measured in check(plan, _ours(mesh, load, plan.warmup_seconds), cores=os.cpu_count() or 1, say=say):
            kept.append(measured, directory)
            found.append(measured.agreement)
    return found, directory


def _verdicts(agreements: list[Agreement]) -> Iterator[str]:
    for agreement in agreements:
        yield from (f"{agreement.cell}: {sentence(agreement, each)}" for each in agreement.tools)


def _ours(mesh: Mesh, load: Load, warmup_seconds: float) -> Callable[[Cell, float], ToolResult]:
    roster = Roster(mesh.watched)

    def run(cell: Cell, seconds: float) -> ToolResult:
        target = Target(f"http://127.0.0.1:{_ports(mesh)[cell.path]}", roster)
        try:
            load.start(cell, target.host, sampled_percent=0.0)
            time.sleep(warmup_seconds)
            measurement, _ = window(load, target, cell, seconds)
            load.stop()
        except GeneratorUnusable as error:
            raise ToolFailed(str(error)) from error
        # a generator at its limit is what a check is there to see: it is compared, and said
        return as_result(replace(measurement, voided=""), version("locust"), os.cpu_count() or 1)

    return run


def _ports(mesh: Mesh) -> dict[str, int]:
    return {"grpc": mesh.grpc_port, "rest": mesh.rest_port, "native": mesh.grpc_port}
