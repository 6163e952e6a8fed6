"""`meshlog fault a-v1-1 --delay-ms 2`: put a delay into the sidecar of one workload, and take it out again."""

import click

from mesh.cli.execute import execute
from mesh.cli.interrupts import run
from mesh.cli.output import say_json
from mesh.cli.settings import mesh_options
from mesh.commands import ClearFault, InjectFault
from mesh.substrates.laptop.places import Places


@click.command()
@click.argument("workload")
@click.option("--delay-ms", type=float, metavar="MS", help="How long a call is held back, to the microsecond.")
@click.option("--percent", type=float, metavar="PERCENT", help="Of the calls; without it, of all of them.")
@click.option("--clear", is_flag=True, help="Take the fault out.")
@click.option("--reason", default="", help="Why, for the log.")
@mesh_options
def command(
    mesh: Places, as_json: bool, workload: str, delay_ms: float | None, percent: float | None, clear: bool, reason: str
) -> None:
    """Delay the calls to WORKLOAD in its sidecar, as in: meshlog fault a-v1-1 --delay-ms 2

    `meshlog status` names the workloads. Calls that come together are held back one after the other. On every connection
    between edge and sidecar one more call may go as before the change.
    """
    wished = _wished(workload, delay_ms, percent, clear)
    position, events = run(execute(mesh, wished, reason))
    if as_json:
        say_json({"position": position, "events": list(events)})
    elif not events:
        click.echo(f"{workload} is so already; nothing was appended")
    elif isinstance(wished, InjectFault):
        click.echo(
            f"{workload}: {wished.percent:g} % of its calls take {wished.delay_ms:g} ms more, since position {position}"
        )
    else:
        click.echo(f"{workload}: no fault, since position {position}")


def _wished(workload: str, delay_ms: float | None, percent: float | None, clear: bool) -> InjectFault | ClearFault:
    """Raises: click.UsageError."""
    if clear:
        if delay_ms is not None or percent is not None:
            raise click.UsageError("--clear takes a fault out: --delay-ms and --percent say nothing with it")
        return ClearFault(workload)
    if delay_ms is None:
        raise click.UsageError("say how long the delay is, as in --delay-ms 2, or --clear to take it out")
    return InjectFault(workload, delay_ms, 100.0 if percent is None else percent)
