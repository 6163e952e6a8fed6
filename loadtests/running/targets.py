"""Everything that a run's cells call, brought up: the mesh, its variants, the services alone, the reference. One place says
which path leads where.
"""

import contextlib
import http.client
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from loadtests.errors import PathUnusable
from loadtests.model.cells import Cell
from loadtests.running.comparison import Target
from loadtests.running.direct import direct_services
from loadtests.running.meshes import VARIANT_PORTS, VARIANTS, Mesh, variant_up
from loadtests.running.resources import Roster, Watched, watched

SETTLE_SECONDS = 60.0  # until the reference has worked off what users who left had asked for
REFERENCE_CACHE = Path("~/.cache/meshlog")
KINDS = {"gateway-grpc": "gateway", "gateway-rest": "gateway"}  # of the reference's processes; the others are workloads

Find = Callable[[Cell], Target]


@contextlib.contextmanager
def brought_up(cells: Sequence[Cell], mesh: Mesh, logs: Path, *, port_offset: int) -> Iterator[Find]:
    """What `cells` need besides `mesh`, for as long as the block; where each finds its target. Raises: PathUnusable."""
    if "echo" not in mesh.services and any(cell.journey == "echo" for cell in cells):
        raise PathUnusable(
            f"{mesh.name} has no echo: end it, so that the benchmark starts its own, or start it with "
            "`meshlog up -f manifests/bench.toml`"
        )
    with contextlib.ExitStack() as stack:
        finds: dict[str, Find] = {"": _on_mesh(mesh, Roster(mesh.watched))}
        for number, variant in enumerate(sorted({cell.variant for cell in cells} & VARIANTS.keys()), start=1):
            offset = port_offset + number * VARIANT_PORTS
            beside = stack.enter_context(variant_up(mesh.name, variant, port_offset=offset))
            finds[variant] = _on_mesh(beside, Roster(beside.watched))
        if any(cell.path.startswith("direct-") for cell in cells):
            direct = stack.enter_context(direct_services(logs))
            roster = Roster(direct.watched)
            finds["direct"] = lambda cell: Target(direct.host(cell.path), roster)
        if any(cell.path.startswith("reference-") for cell in cells):
            finds["reference"] = stack.enter_context(_reference(logs))
        yield lambda cell: finds.get(cell.path.partition("-")[0], finds.get(cell.variant, finds[""]))(cell)


def _on_mesh(mesh: Mesh, roster: Roster) -> Find:
    def find(cell: Cell) -> Target:
        port = mesh.rest_port if cell.path == "rest" else mesh.grpc_port
        return Target(f"http://127.0.0.1:{port}", roster, mesh.sink, sampled=cell.variant != "tracing-off")

    return find


@contextlib.contextmanager
def _reference(logs: Path) -> Iterator[Find]:
    from loadtests.reference.system import Reference, prepare, running

    def look(reference: Reference) -> list[Watched]:
        return [watched(name, KINDS.get(name, "workload"), pid) for name, pid in reference.pids.items()]

    cache = Path(os.path.expanduser(REFERENCE_CACHE))  # noqa: PTH111 - a home that is not there is no error
    with running(prepare(cache), logs) as reference:
        roster = Roster(lambda: look(reference))

        def find(cell: Cell) -> Target:
            address = reference.rest if cell.path == "reference-rest" else reference.grpc
            return Target(f"http://{address}", roster, settle=lambda: _settled(address))

        yield find


def _settled(address: str) -> None:
    """Returns when the reference answers a new call of B: its queue knows no cancelling. Raises: PathUnusable."""
    asked = http.client.HTTPConnection(address, timeout=SETTLE_SECONDS)
    try:
        asked.request("GET", "/b/numbers?count=1&delay_ms=0")
        asked.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise PathUnusable(f"the reference at {address} does not answer any more: {error!r}") from error
    finally:
        asked.close()
