"""A benchmark while it runs: what the log is told of it, what a person sees of it, and how it is interrupted."""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from loadtests.errors import PathUnusable
from loadtests.model.runs import Run
from loadtests.running.bench import Ending
from loadtests.running.comparison import Step
from mesh.cli.settings import actor
from mesh.control.client import ControlClient
from mesh.errors import MeshError
from mesh.events import BenchmarkBegun, BenchmarkEnded, RunEvent
from mesh.log.port import RUNS, Commit
from mesh.substrates.laptop.places import Places


class RunLog:
    """Tells the mesh's log of a run. A log that cannot take it now does not end a measurement: it is said."""

    def __init__(self, mesh: Places) -> None:
        self._mesh = mesh

    def begun(self, run: Run) -> None:
        settings = {**run.settings, **{f"version of {name}": number for name, number in run.versions.items()}}
        self._append(
            BenchmarkBegun(
                run_id=run.id,
                kind=run.kind,
                began_at_us=time.time_ns() // 1_000,
                seed=run.seed,
                git_revision=run.git_revision,
                meshlog_version=run.versions.get("meshlog", ""),
                machine=run.machine,
                settings=settings,
                cells=len(run.cells),
                repetitions=run.repetitions,
            )
        )

    def ended(self, run: Run, ending: Ending) -> None:
        self._append(
            BenchmarkEnded(
                run_id=run.id,
                outcome=ending.outcome,
                ended_at_us=time.time_ns() // 1_000,
                measured=ending.measured,
                voided=ending.voided,
                verdicts=ending.verdicts,
                results=ending.results,
            )
        )

    def _append(self, event: RunEvent) -> None:
        commit = Commit(uuid.uuid4().hex, "", actor(), "", time.time_ns() // 1_000, (event,))
        try:
            asyncio.run(self._sent(commit))
        except MeshError as error:
            click.echo(f"the log does not know of this: {error}", err=True)

    async def _sent(self, commit: Commit) -> None:
        async with ControlClient(self._mesh.control_address) as control:
            await control.append(RUNS, commit)


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the lock of the directory of all meshes: two benchmarks at once would take the machine from one another.

    Raises: PathUnusable.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go by the system, however we end
        except BlockingIOError:
            raise PathUnusable(
                "another benchmark runs on this machine: two at once would measure one another; wait until it has ended"
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def progress(console: Console) -> Iterator[Any]:
    columns = (
        BarColumn(24),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[left]}", style="dim"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("bringing up what is measured", total=None, left="")

        def tell(step: Step) -> None:
            left = f"{minutes(step.seconds_left)} left"
            progress.update(task, completed=step.number - 1, total=step.steps, description=str(step.cell), left=left)
            if not console.is_terminal and step.number % max(1, step.steps // 20) == 1:
                console.print(f"{step.number}/{step.steps} {step.cell}, {left}")

        yield tell


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and a closing terminal interrupt as Ctrl-C does, so that what was started is ended; the exit status says which."""
    told: list[int] = []

    def interrupt(number: int, _: object) -> None:
        told.append(number)
        if len(told) == 1:  # a second one must not cut short how the first is cleaned up
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(128 + (told[0] if told else signal.SIGINT)) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
