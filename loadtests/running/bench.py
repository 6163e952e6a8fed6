"""One run of the comparison from beginning to end: what it needs is brought up, measured, and ended; what was found is kept.

Who calls hands over how a run is announced to the log (`Announce`) and how progress is shown; this module prints nothing.
"""

import contextlib
import importlib.util
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from loadtests.errors import NotInstalled, PathUnusable, UnreadableResults
from loadtests.findings.sentences import sentences
from loadtests.generator.client import generating
from loadtests.hops.serialization import costs_us
from loadtests.model import measurements, runs
from loadtests.model import plan as plans
from loadtests.model.plan import Plan
from loadtests.model.runs import Run, Serialization
from loadtests.running.comparison import Comparison, Split, Step
from loadtests.running.facts import git_revision, machine, versions
from loadtests.running.meshes import mesh_up
from loadtests.running.targets import brought_up

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


@dataclass(frozen=True, slots=True)
class Ending:
    """What a run came to."""

    outcome: Outcome
    measured: int = 0
    voided: int = 0
    verdicts: tuple[str, ...] = ()
    results: str = ""  # where they are


class Announce(Protocol):
    """Tells the log of a run. Called while the mesh is up."""

    def begun(self, run: Run) -> None: ...

    def ended(self, run: Run, ending: Ending) -> None: ...


@contextlib.contextmanager
def announced(announce: Announce, run: Run, ending: Callable[[Outcome], Ending]) -> Iterator[None]:
    """The log is told that `run` begins, and what it came to, however the block is left."""
    announce.begun(run)
    outcome: Outcome = "failed"
    try:
        yield
        outcome = "finished"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        announce.ended(run, ending(outcome))


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


def _serialization(plan: Plan) -> Iterator[Serialization]:
    """Of every stream that the plan has; a tenth of a second for each."""
    for count, delay_ms in sorted({(cell.count, cell.delay_ms) for cell in plan.cells}):
        yield Serialization(count, delay_ms, costs_us(count=count, delay_ms=delay_ms))


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
            "traced calls": f"{plan.sampled_percent:g} %",
            "window": f"{plan.window_seconds:g} s and 1.25 ms a user",
            "warm-up": f"{plan.warmup_seconds:g} s and 1 ms a user, discarded",
        },
        sampled_percent=plan.sampled_percent,
        serialization=tuple(_serialization(plan)),
    )


def plan_of(run: Run) -> Plan:
    return Plan(run.kind, run.cells, run.repetitions, run.window_seconds, run.warmup_seconds, run.sampled_percent)


def resumable(results: Path, id_: str = "") -> tuple[Run, Path]:
    """The run `id_`, or the newest that was not finished, and where it lies. Raises: BenchmarkError."""
    for directory in sorted(results.iterdir(), reverse=True) if results.is_dir() else ():
        run = _unfinished(directory) if id_ in ("", directory.name) else None
        if run is None:
            continue
        if run.git_revision != git_revision():
            raise PathUnusable(
                f"{run.id} was begun with revision {run.git_revision or 'unknown'} and this is "
                f"{git_revision() or 'unknown'}: its figures must not be mixed with others; begin a new one"
            )
        return run, directory
    raise PathUnusable(f"there is no unfinished run {id_}".rstrip() + f" in {results}")


def _unfinished(directory: Path) -> Run | None:
    """The run in `directory`; None if there is none that could go on."""
    with contextlib.suppress(UnreadableResults):
        run = runs.read(directory)
        return None if run.kind == runs.CHECK or is_finished(run, directory) else run
    return None


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
) -> Ending:
    """Measure what `run` still lacks; what it came to. An interruption (KeyboardInterrupt) ends everything that was started, and passes.

    Raises: BenchmarkError, OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    runs.write(run, directory)
    with contextlib.ExitStack() as stack:
        mesh = stack.enter_context(mesh_up(wanted.mesh, port_offset=wanted.port_offset))
        ended: list[Ending] = []

        def ending(outcome: Outcome) -> Ending:
            ended.append(_ending(run, directory, outcome))
            return ended[-1]

        stack.enter_context(announced(announce, run, ending))
        find = stack.enter_context(brought_up(run.cells, mesh, directory, port_offset=wanted.port_offset))
        load = stack.enter_context(
            generating(
                directory,
                workers=wanted.workers,
                remote_workers=wanted.remote_workers,
                bind=wanted.bind,
                port=wanted.master_port,
            )
        )
        Comparison(plan_of(run), run.seed, directory, load, find, split, tell).measure()
    return ended[-1]


def _ending(run: Run, directory: Path, outcome: Outcome) -> Ending:
    found = measured(directory)
    voided = sum(bool(one.voided) for one in found)
    return Ending(outcome, len(found), voided, tuple(sentences(run, found)), str(directory))
