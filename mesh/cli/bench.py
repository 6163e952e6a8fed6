"""`meshlog bench`: gRPC against REST, measured so that it can be believed. What is measured and how stands in loadtests/."""

import time
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from loadtests.errors import PathUnusable
from loadtests.model import runs
from loadtests.model.measurements import Hops, TracedCall
from loadtests.model.plan import with_reference
from loadtests.model.runs import Run
from loadtests.running import bench
from mesh.cli.bench_runs import RunLog, alone, interruptible, minutes, progress
from mesh.cli.output import say_json
from mesh.cli.settings import mesh_options
from mesh.substrates.laptop.places import Places

_RESULTS = "bench"  # in the directory of what outlives the mesh
_UI_PORT = 8089


@click.group(invoke_without_command=True)
@click.option("--quick", is_flag=True, help="A first verdict, in little more than a minute.")
@click.option(
    "--full", is_flag=True, help="Every factor: stream length, payload, reuse, HTTP version … It takes hours."
)
@click.option("--ui", is_flag=True, help="Open Locust's web UI over the mesh instead.")
@click.option("--ui-port", default=_UI_PORT, show_default=True, help="Of Locust's web UI, on loopback.")
@click.option("--reference", is_flag=True, help="Measure the original report's system as well (needs node and npm).")
@click.option("--repetitions", type=click.IntRange(1, 1_000), help="Of every cell [10; 5 with --quick].")
@click.option("--seed", type=click.IntRange(min=0), help="Of the order of the cells [any].")
@click.option("--resume", is_flag=False, flag_value="*", metavar="[ID]", help="Go on with an interrupted run.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), help="Where results are kept.")
@click.option("--port-offset", default=0, help="Of the mesh, if it must be started.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Generator processes here.")
@click.option("--remote-workers", default=0, type=click.IntRange(0, 1_000), help="Generator processes elsewhere.")
@click.option("--bind", default="127.0.0.1", show_default=True, help="Where remote workers find the master.")
@click.option("--master-port", default=0, type=click.IntRange(0, 65_535), help="And on which port [any].")
@mesh_options
@click.pass_context
def command(context: click.Context, /, mesh: Places, as_json: bool, **asked: Any) -> None:
    """Measure the gRPC path against the REST path of a mesh, and say what can be said.

    A mesh that runs is measured as it is; else one is started (manifests/bench.toml) and ended afterwards. About 20 minutes;
    never both paths at once, every cell repeated in random order, and no winner where the intervals overlap.
    """
    if context.invoked_subcommand:
        return
    bench.require_packages()
    results = asked["results"] or mesh.state / _RESULTS
    with interruptible():
        if asked["ui"]:
            _open_ui(mesh, results, asked)
        else:
            _compare(mesh, results, as_json, asked)


@command.command("report")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
def report(directory: Path) -> None:
    """Write the report of a run's results again."""
    from loadtests.report import write_report

    bench.require_packages()
    click.echo(write_report(directory))


@command.command("compare")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def compare(old: Path, new: Path) -> None:
    """What has changed between two runs: directories of results, OLD first."""
    from loadtests.report.compare import compare_runs

    bench.require_packages()
    click.echo(compare_runs(old, new))


@command.command("check")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 100), help="Of every tool and cell.")
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(1, 600), help="Of one run.")
@click.option("--seed", default=1, show_default=True, help="Of the order.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), help="Where results are kept.")
@click.option("--port-offset", default=0, help="Of the mesh, if it must be started.")
@mesh_options
def check(
    mesh: Places, as_json: bool, rounds: int, seconds: float, seed: int, results: Path | None, port_offset: int
) -> None:
    """Hold our figures against those of k6, ghz and wrk, where they are on PATH: the same cells, in turn.

    The reports of benchmarks that are written afterwards tell of it.
    """
    from loadtests.report import write_report
    from loadtests.report.agreement import page as check_blocks
    from loadtests.report.terminal import text
    from loadtests.running.check import checked

    bench.require_packages()
    with interruptible(), alone(mesh.state.parent):
        say = Console(stderr=True, highlight=False).print
        found, directory = checked(
            mesh.name,
            port_offset=port_offset,
            rounds=rounds,
            seconds=seconds,
            seed=seed,
            results=results or mesh.state / _RESULTS,
            announce=RunLog(mesh),
            say=say,
        )
    page = write_report(directory)
    if as_json:
        say_json([msgspec.to_builtins(agreement) for agreement in found])
    else:
        click.echo(f"{text(check_blocks(runs.read(directory), found))}\n{page}")


def _compare(mesh: Places, results: Path, as_json: bool, asked: dict[str, Any]) -> None:
    from loadtests.hops.split import hops_of
    from loadtests.hops.traces import traces_of
    from loadtests.report import write_report

    def split(sink: str, calls: list[TracedCall]) -> tuple[Hops, ...]:
        return tuple(hops_of(calls, traces_of(calls, sink, wait_seconds=0.5)))

    wanted = bench.Wanted(
        mesh=mesh.name,
        port_offset=asked["port_offset"],
        workers=asked["workers"],
        remote_workers=asked["remote_workers"],
        bind=asked["bind"],
        master_port=asked["master_port"],
    )
    run, directory = _run(results, wanted, asked)
    console = Console(stderr=True, highlight=False)
    plan = bench.plan_of(run)
    click.echo(
        f"{len(plan.cells)} cells, {plan.repetitions} repetitions each, seed {run.seed}: about {minutes(plan.seconds())}",
        err=True,
    )
    try:
        with alone(mesh.state.parent), progress(console) as tell:
            ending = bench.execute(run, directory, wanted, announce=RunLog(mesh), split=split, tell=tell)
    except KeyboardInterrupt:
        click.echo(f"interrupted; go on with: meshlog bench --name {mesh.name} --resume {run.id}", err=True)
        raise
    page = write_report(directory)
    if as_json:
        say_json({"run": run.id, "verdicts": ending.verdicts, "report": str(page)})
        return
    for sentence in ending.verdicts:
        click.echo(sentence)
    click.echo(f"\n{page}")


def _run(results: Path, wanted: bench.Wanted, asked: dict[str, Any]) -> tuple[Run, Path]:
    """The run to make, or to go on with, and where its results lie. Raises: BenchmarkError, click.UsageError."""
    if asked["resume"]:
        return bench.resumable(results, asked["resume"].removeprefix("*"))
    if asked["quick"] and asked["full"]:
        raise click.UsageError("--quick and --full exclude each other")
    plan = bench.plan("quick" if asked["quick"] else "full" if asked["full"] else "default", asked["repetitions"])
    if asked["reference"]:
        plan = with_reference(plan)
    run = bench.new_run(plan, wanted, asked["seed"])
    return run, results / run.id


def _open_ui(mesh: Places, results: Path, asked: dict[str, Any]) -> None:
    from loadtests.running.direct import direct_services
    from loadtests.running.meshes import mesh_up
    from loadtests.running.web import hosts, web_ui

    directory = results / f"locust-{time.strftime('%Y-%m-%dT%H-%M-%S')}"
    directory.mkdir(parents=True)
    with (
        mesh_up(mesh.name, port_offset=asked["port_offset"]) as up,
        direct_services(directory, usual_ports=True) as direct,
        web_ui(hosts(up, direct), directory, port=asked["ui_port"]) as ui,
    ):
        click.echo(f"Locust: {ui.url}   (Ctrl-C ends it)\nits files: {directory}")
        ui.process.wait()
    raise PathUnusable(f"Locust has ended; see {directory / 'locust.log'}")
