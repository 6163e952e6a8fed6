"""`meshlog shift a v1=90 v2=10`: the first command that changes a running mesh."""

import click

from mesh.cli.execute import execute
from mesh.cli.interrupts import run
from mesh.cli.output import say_json
from mesh.cli.settings import mesh_options
from mesh.commands import ShiftTraffic
from mesh.substrates.laptop.places import Places


@click.command()
@click.argument("service")
@click.argument("weights", nargs=-1, required=True, metavar="VERSION=PERCENT...")
@click.option("--reason", default="", help="Why, for the log.")
@mesh_options
def command(mesh: Places, as_json: bool, service: str, weights: tuple[str, ...], reason: str) -> None:
    """Spread the calls of SERVICE over its versions, as in: meshlog shift a v1=90 v2=10

    Percents sum to 100; versions that are not named get 0.
    """
    shift = ShiftTraffic(service, parsed(weights))
    position, events = run(execute(mesh, shift, reason))
    if as_json:
        say_json({"position": position, "events": list(events)})
    elif events:
        spread = " ".join(f"{version}={percent}" for version, percent in shift.weights.items())
        click.echo(f"{service}: {spread}, since position {position}")
    else:
        click.echo(f"{service} is spread so already; nothing was appended")


def parsed(weights: tuple[str, ...]) -> dict[str, int]:
    """{"v1": 90} of ("v1=90",). Raises: click.BadParameter."""
    found: dict[str, int] = {}
    for weight in weights:
        version, equals, percent = weight.partition("=")
        if not equals or not version or not (percent.isascii() and percent.isdigit()):
            raise click.BadParameter(f"{weight!r} is no VERSION=PERCENT, such as v1=90", param_hint="WEIGHTS")
        if version in found:
            raise click.BadParameter(f"{version} is named twice", param_hint="WEIGHTS")
        found[version] = int(percent)
    return found
