"""`meshlog trace ID`: the waterfall of one call, from the mesh's own span sink, or from the Jaeger that its telemetry points to."""

import asyncio
import contextlib
from urllib.parse import urlsplit

import click
from rich.console import Console

from mesh.cli.output import say_json
from mesh.cli.settings import mesh_options
from mesh.cli.status import supervisor_state
from mesh.control.watch import topologies
from mesh.errors import ControlPlaneUnavailable, SubstrateError
from mesh.events import Telemetry
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.processes import find
from observability.client import fetch_from_jaeger, fetch_trace
from observability.document import to_json
from observability.errors import TraceError
from observability.spans import Span, trace_id_of
from observability.waterfall import render


@click.command()
@click.argument("trace_id", metavar="ID")
@mesh_options
def command(mesh: Places, as_json: bool, trace_id: str) -> None:
    """The waterfall of one call. ID is what the answer's header x-trace-id says."""
    try:
        spans = _spans(mesh, trace_id_of(trace_id))
    except TraceError as error:
        raise SubstrateError(str(error)) from error
    if as_json:
        say_json(to_json(spans))
    else:
        Console(highlight=False).print(render(spans))


def _spans(mesh: Places, trace_id: str) -> list[Span]:
    """Raises: TraceError, SubstrateError."""
    if not find(mesh.run):
        raise SubstrateError(f"{mesh.name} is down, and its spans with it; `meshlog up` starts it")
    sink = next((process for process in supervisor_state(mesh).processes if process.kind == "sink"), None)
    if sink:
        return fetch_trace(f"http://127.0.0.1:{sink.ports[-1]}", trace_id)
    telemetry = asyncio.run(_telemetry(mesh))
    if telemetry.trace_url:
        page = urlsplit(telemetry.trace_url)
        return fetch_from_jaeger(f"{page.scheme}://{page.netloc}", trace_id)
    if telemetry.endpoint:
        raise SubstrateError(
            f"the spans of {mesh.name} go to {telemetry.endpoint}: look there for {trace_id}, "
            "or give [telemetry] trace_url in the topology file, such as http://localhost:16686/trace/{trace_id} of a Jaeger"
        )
    raise SubstrateError(f"{mesh.name} sends no spans anywhere; see [telemetry] in the topology file")


async def _telemetry(mesh: Places) -> Telemetry:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5.0):
            async for _, topology in topologies(mesh.control_address):
                return topology.telemetry
    raise ControlPlaneUnavailable(f"the control plane of {mesh.name} does not answer; see `meshlog status`")
