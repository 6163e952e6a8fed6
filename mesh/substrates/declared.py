"""What a topology file declares wherever it is placed. Pure."""

from mesh.events import DeclaredService, Route
from mesh.topology_file import RouteTable, ServiceTable, TopologyFile


def declared_services(file: TopologyFile) -> dict[str, DeclaredService]:
    return {
        name: DeclaredService(
            protocol=table.protocol,
            contract=table.contract,
            grpc_services=table.grpc_services,
            routes=tuple(_route(name, route) for route in table.routes),
            weights=_weights(table),
        )
        for name, table in file.services.items()
    }


def _weights(table: ServiceTable) -> dict[str, int]:
    """Every version has its percent, as after a shift; none said: none declared."""
    return {version: table.weights.get(version, 0) for version in table.versions} if table.weights else {}


def _route(service: str, table: RouteTable) -> Route:
    last_segment = table.path.rstrip("/").rpartition("/")[2]
    name = table.name or f"{service}.{last_segment}"
    return Route(name, table.method, table.path, table.timeout_seconds, table.retries, table.streams)
