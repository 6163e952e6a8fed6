"""One run of the comparison from beginning to end: what it needs is brought up, measured, and ended; what was found is kept.

Who calls hands over how a run is announced to the log (`Announce`) and how progress is shown; this module prints nothing.
"""

import contextlib
import importlib.util
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from loadtests import measurements, runs
from loadtests import plan as plans
from loadtests.cells import Cell
from loadtests.comparison import SAMPLED_PERCENT, Comparison, Split, Step, Target
from loadtests.direct import Direct, direct_services
from loadtests.direct import names as names_direct
from loadtests.errors import BenchmarkError, NotInstalled, PathUnusable
from loadtests.facts import git_revision, machine, versions
from loadtests.load import generating
from loadtests.meshes import VARIANT_PORTS, VARIANTS, Mesh, mesh_up, variant_up
from loadtests.plan import Plan
from loadtests.resources import Roster
from loadtests.runs import Run

NEEDED = ("locust", "hdrh", "h2", "matplotlib", "pyarrow", "scipy")  # of the extra `loadtests`
Outcome = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a run is to be made; what is to be measured stands in its plan."""

    mesh: str
    port_offset: int = 0  # of a mesh that must be started
    workers: int = 1  # generator processes on this machine
    remote_workers: int = 0  # and on others: `locust -f loadtests/locustfile.py --worker --master-host …`
    bind: str = "127.0.0.1"  # where those find the master
    master_port: int = 0  # 0: any


class Announce(Protocol):
    """Tells the log of a run. Called while the mesh is up."""

    def begun(self, run: Run) -> None: ...

    def ended(self, run: Run, outcome: Outcome, directory: Path) -> None: ...


def require_packages() -> None:
    """Raises: NotInstalled."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise NotInstalled(
            f"benchmarks need packages that are not installed ({', '.join(missing)}): "
            "pip install 'meshlog[loadtests]', or in a checkout: make bench"
        )


def plan(kind: str, repetitions: int | None = None) -> Plan:
    """The plan called "quick", "default" or "full"."""
    made = {"quick": plans.quick, "default": plans.default, "full": plans.full}[kind]
    return made(repetitions) if repetitions else made()


def with_reference(plan: Plan) -> Plan:
    return plans.with_reference(plan)


def new_run(plan: Plan, wanted: Wanted, seed: int | None) -> Run:
    now = datetime.now(UTC)
    return Run(
        id=f"{now:%Y-%m-%dT%H-%M-%S}-{plan.kind}",
        kind=plan.kind,
        begun_at_us=int(now.timestamp() * 1e6),
        mesh=wanted.mesh,
        seed=random.SystemRandom().randrange(2**31) if seed is None else seed,
        repetitions=plan.repetitions,
        cells=plan.cells,
        window_seconds=plan.window_seconds,
        warmup_seconds=plan.warmup_seconds,
        git_revision=git_revision(),
        machine=machine(),
        versions=versions(),
        settings={
            "generator processes": str(wanted.workers + wanted.remote_workers),
            "traced calls": f"{SAMPLED_PERCENT:g} %",
            "window": f"{plan.window_seconds:g} s and 1.25 ms a user",
            "warm-up": f"{plan.warmup_seconds:g} s and 1 ms a user, discarded",
        },
    )


def plan_of(run: Run) -> Plan:
    return Plan(run.kind, run.cells, run.repetitions, run.window_seconds, run.warmup_seconds)


def resumable(results: Path, id_: str = "") -> tuple[Run, Path]:
    """The run `id_`, or the newest that was not finished, and where it lies. Raises: BenchmarkError."""
    for directory in sorted(results.glob(id_ or "*"), reverse=True):
        with contextlib.suppress(BenchmarkError):
            run = runs.read(directory)
            if is_finished(run, directory):
                continue
            if run.git_revision != git_revision():
                raise PathUnusable(
                    f"{run.id} was begun with revision {run.git_revision or 'unknown'} and this is "
                    f"{git_revision() or 'unknown'}: its figures must not be mixed with others; begin a new one"
                )
            return run, directory
    raise PathUnusable(f"there is no unfinished run {id_ or ''} in {results}".replace("  ", " "))


def is_finished(run: Run, directory: Path) -> bool:
    return len(measured(directory)) >= len(run.cells) * run.repetitions


def measured(directory: Path) -> list[measurements.Measurement]:
    """Raises: UnreadableResults."""
    try:
        return measurements.read(directory)
    except FileNotFoundError:
        return []


def execute(
    run: Run, directory: Path, wanted: Wanted, *, announce: Announce, split: Split, tell: Callable[[Step], None]
) -> None:
    """Measure what `run` still lacks. An interruption (KeyboardInterrupt) ends everything that was started, and passes.

    Raises: BenchmarkError, OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    runs.write(run, directory)
    with contextlib.ExitStack() as stack:
        mesh = stack.enter_context(mesh_up(wanted.mesh, port_offset=wanted.port_offset))
        announce.begun(run)
        outcome: Outcome = "failed"
        try:
            targets = _targets(run, mesh, wanted, directory, stack)
            load = stack.enter_context(
                generating(
                    directory,
                    workers=wanted.workers,
                    remote_workers=wanted.remote_workers,
                    bind=wanted.bind,
                    port=wanted.master_port,
                )
            )
            Comparison(plan_of(run), run.seed, directory, load, targets, split, tell).measure()
            outcome = "finished"
        except KeyboardInterrupt:
            outcome = "interrupted"
            raise
        finally:
            announce.ended(run, outcome, directory)


def _targets(
    run: Run, mesh: Mesh, wanted: Wanted, directory: Path, stack: contextlib.ExitStack
) -> Callable[[Cell], Target]:
    """Bring up what the cells need besides the mesh. Raises: PathUnusable."""
    if "echo" not in mesh.services and any(cell.journey == "echo" for cell in run.cells):
        raise PathUnusable(
            f"{mesh.name} has no echo: end it, so that the benchmark starts its own, or start it with "
            "`meshlog up -f manifests/bench.toml`"
        )
    variants = {}
    for number, variant in enumerate(sorted({cell.variant for cell in run.cells} & VARIANTS.keys()), start=1):
        offset = wanted.port_offset + number * VARIANT_PORTS
        variants[variant] = stack.enter_context(variant_up(wanted.mesh, variant, port_offset=offset))
    direct = None
    if names_direct([cell.path for cell in run.cells]):
        direct = stack.enter_context(direct_services(directory))

    rosters = {id(one): Roster(one.watched) for one in (mesh, *variants.values())}

    def target(cell: Cell) -> Target:
        if direct is not None and cell.path.startswith("direct-"):
            return _direct_target(cell, direct)
        asked = variants.get(cell.variant, mesh)
        port = asked.rest_port if cell.path == "rest" else asked.grpc_port
        share = 0.0 if cell.variant == "tracing-off" else SAMPLED_PERCENT
        return Target(f"http://127.0.0.1:{port}", rosters[id(asked)], asked.sink, share)

    return target


def _direct_target(cell: Cell, direct: Direct) -> Target:
    return Target(direct.host(cell.path), direct.watched)
