"""Where everything is on a laptop: every port and address of a topology file, settled. Pure.

Rules: everything listens on loopback; the same file and offset give the same ports, whatever else runs. Replica n of a
service's i-th version is at first_port + 10 i + n - 1, so that no service's ports depend on another service, nor a
version's on the replicas of another one. The offset is added to every port, so that a second mesh can stand beside the first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from string import Formatter

from mesh.errors import InvalidTopology, SubstrateError
from mesh.events import Declaration, Edge, Telemetry, Workload
from mesh.substrates.declared import declared_services
from mesh.substrates.otel_variables import names_endpoint, overridden
from mesh.topology_file import REPLICAS_MAX, TopologyFile

SINK_GRPC_PORT = 4317  # OTLP's registered ports, for our own span sink
SINK_HTTP_PORT = 4318
PORT_MAX = 65_535
PLACEHOLDERS = ("python", "listen")  # of a command: our interpreter, and where the sidecar will reach the workload


def place(
    file: TopologyFile, contracts: dict[str, bytes], *, port_offset: int = 0, environment: Mapping[str, str]
) -> Declaration:
    """What `file` declares, placed on this laptop.

    contracts: the descriptor sets that the file names (mesh.topology_file.descriptor_sets).
    environment: where OpenTelemetry's standard variables may stand; they go before the file.
    Raises: SubstrateError, InvalidTopology.
    """
    here = file.on.laptop
    declaration = Declaration(
        contracts=contracts,
        services=declared_services(file),
        workloads=_workloads(file, port_offset),
        edge=_edge(file, port_offset),
        limits=replace(file.limits, **here.limits),
        telemetry=_telemetry(file, port_offset, environment),
        identity=replace(file.identity, **here.identity),
    )
    _require_sink_ports(declaration, sink_addresses(file, port_offset=port_offset, environment=environment))
    return declaration


def commands(file: TopologyFile) -> dict[str, tuple[str, ...]]:
    """How to start one workload of each service: a command line to be filled in by str.format. Raises: SubstrateError."""
    templates = {name: table.command for name, table in file.on.laptop.services.items()}
    for name, template in templates.items():
        where = f"[on.laptop.services.{name}] command"
        if not template:
            raise SubstrateError(f"{where} is empty; give the program that starts a workload of {name}")
        for part in template:
            for placeholder in _placeholders(part, where):
                if placeholder not in PLACEHOLDERS:
                    known = " and ".join(f"{{{name}}}" for name in PLACEHOLDERS)
                    raise SubstrateError(f"{where} has {{{placeholder}}} in {part!r}; only {known} are filled in")
    return templates


def sink_addresses(
    file: TopologyFile, *, port_offset: int = 0, environment: Mapping[str, str]
) -> tuple[str, str] | None:
    """Where our own span sink listens (gRPC, HTTP); None: spans go somewhere else, and it is not needed. Raises: SubstrateError."""
    if names_endpoint(environment) or _said_of_telemetry(file).endpoint:
        return None
    grpc = _shifted(SINK_GRPC_PORT, port_offset, "the span sink")
    http = _shifted(SINK_HTTP_PORT, port_offset, "the span sink")
    return f"127.0.0.1:{grpc}", f"127.0.0.1:{http}"


def _workloads(file: TopologyFile, port_offset: int) -> dict[str, Workload]:
    found: dict[str, Workload] = {}
    for service, version, replica, index in _replicas(file):
        table = file.on.laptop.services.get(service)
        if table is None:
            raise SubstrateError(
                f"nothing says how a laptop starts {service}: add [on.laptop.services.{service}] with a command and a first_port"
            )
        id_ = f"{service}-{version}-{replica}"
        if id_ in found:
            raise InvalidTopology(
                f"{found[id_].service} and {service} would both have a workload {id_}; rename one of them"
            )
        port = _shifted(table.first_port + REPLICAS_MAX * index + replica - 1, port_offset, f"workload {id_}")
        found[id_] = Workload(id_, service, version, f"127.0.0.1:{port}", "unix:app.sock")
    return found


def _replicas(file: TopologyFile) -> Iterator[tuple[str, str, int, int]]:
    """Service, version, number of the replica from 1, number of the version from 0."""
    for service, table in file.services.items():
        for index, (version, said) in enumerate(table.versions.items()):
            for replica in range(1, said.replicas + 1):
                yield service, version, replica, index


def _edge(file: TopologyFile, port_offset: int) -> Edge:
    edge: Edge = replace(file.edge, **file.on.laptop.edge)
    return replace(
        edge,
        grpc_port=_shifted(edge.grpc_port, port_offset, "grpc_port of the edge"),
        rest_port=_shifted(edge.rest_port, port_offset, "rest_port of the edge"),
        admin_port=_shifted(edge.admin_port, port_offset, "admin_port of the edge"),
    )


def _telemetry(file: TopologyFile, port_offset: int, environment: Mapping[str, str]) -> Telemetry:
    said = _said_of_telemetry(file)
    telemetry = overridden(said, environment)
    sink = sink_addresses(file, port_offset=port_offset, environment=environment)
    if sink is None:
        return telemetry
    grpc, http = sink
    http_port = http.rpartition(":")[2]
    shown = said.trace_url or f"http://localhost:{http_port}/trace/{{trace_id}}"
    return replace(telemetry, endpoint=f"http://{grpc}", protocol="grpc", trace_url=shown)


def _said_of_telemetry(file: TopologyFile) -> Telemetry:
    telemetry: Telemetry = replace(file.telemetry, **file.on.laptop.telemetry)
    return telemetry


def _require_sink_ports(declaration: Declaration, sink: tuple[str, str] | None) -> None:
    edge = declaration.edge
    takers = {f"127.0.0.1:{port}": "the edge" for port in (edge.grpc_port, edge.rest_port, edge.admin_port)}
    takers |= {workload.address: f"workload {workload.id}" for workload in declaration.workloads.values()}
    for address in sink or ():
        if address in takers:
            raise SubstrateError(
                f"{takers[address]} would take {address}, which the span sink needs; give it another port"
            )


def _shifted(port: int, port_offset: int, whose: str) -> int:
    if port_offset < 0:
        raise SubstrateError(f"the port offset is {port_offset}; it must be 0 or more")
    if not 1 <= port + port_offset <= PORT_MAX:
        raise SubstrateError(
            f"{whose} would get port {port + port_offset}, and a port is from 1 to {PORT_MAX}; lower it or the port offset"
        )
    return port + port_offset


def _placeholders(part: str, where: str) -> list[str]:
    try:
        return [name for _, name, _, _ in Formatter().parse(part) if name is not None]
    except ValueError as error:
        raise SubstrateError(f"{where} has {part!r}: {error}; a brace that is meant is written twice") from None
