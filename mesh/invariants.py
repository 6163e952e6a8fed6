"""What must hold of every topology, whatever the commands were. Pure.

A sentence for each thing that is wrong: what, where, and what to do about it. Names of fields are those of the topology file.

names        [a-z][a-z0-9-]{0,39}; none that would give a service another one's identity, cluster or process
routes       one method and path means one route on one path of the edge; retries only for what changes nothing
contracts    a gRPC service names a published contract, and no other service answers for its gRPC services
weights      percents that sum to 100, and nothing goes to a version without workloads
addresses    of one workload alone; the edge's ports are its own
the rest     edge, limits, telemetry, identity, faults: mesh/bounds.py
"""

import re
from collections.abc import Collection, Iterator

from mesh.bounds import (
    address_parts,
    edge_problems,
    fault_problems,
    identity_problems,
    limits_problems,
    telemetry_problems,
    twice,
)
from mesh.errors import InvalidTopology
from mesh.events import Route
from mesh.topology import Service, Topology

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
ROUTE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")
WORKLOAD_ID = re.compile(r"[a-z][a-z0-9-]{0,99}")
PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+/?")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
METHODS = (*SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE")
EDGE_PATHS = ("/", "/healthz")  # the page and the health of the edge itself
IDENTITIES = ("edge", "control-plane")  # a service of this name could pass for one of them
PROTOCOLS = ("grpc", "http")
RETRIES_MAX = 10
TIMEOUT_MAX_SECONDS = 86_400


def check(topology: Topology) -> None:
    """Raises: InvalidTopology, with a line for everything that is wrong."""
    wrong = list(problems(topology))
    if wrong:
        raise InvalidTopology("\n".join(wrong))


def problems(topology: Topology) -> Iterator[str]:
    yield from _names(topology)
    for name, service in topology.services.items():
        yield from _service(name, service, topology.contracts)
        for route in service.routes:
            yield from _route(f"route {route.name} of {name}", route)
    yield from _conflicts(topology)
    if topology.edge is not None:
        yield from edge_problems(topology.edge, topology.workloads())
    yield from limits_problems(topology.limits)
    yield from telemetry_problems(topology.telemetry)
    yield from identity_problems(topology.identity)
    for workload, fault in topology.faults.items():
        yield from fault_problems(workload, fault)


def _names(topology: Topology) -> Iterator[str]:
    named = [("contract", name) for name in topology.contracts]
    for name, service in topology.services.items():
        named += [("service", name), *((f"version of {name}", version) for version in service.versions())]
        if name in IDENTITIES or name == "sidecar" or name.startswith("sidecar-"):
            yield f"service {name}: the mesh itself uses this name; rename the service"
    if topology.edge is not None:
        named.append(("edge", topology.edge.id))
    for kind, name in named:
        if not NAME.fullmatch(name):
            yield (
                f"{kind} {name!r}: a name begins with a lower-case letter and has at most 40 lower-case letters, "
                f"digits and hyphens; rename it"
            )


def _service(name: str, service: Service, contracts: Collection[str]) -> Iterator[str]:
    known = ", ".join(sorted(contracts)) or "none"
    if service.protocol not in PROTOCOLS:
        yield f"service {name}: protocol {service.protocol!r} is not known; say grpc or http"
    elif service.protocol == "http" and (service.contract or service.grpc_services):
        yield f"service {name}: only a gRPC service has a contract and grpc_services; take them out or say protocol grpc"
    elif service.protocol == "grpc" and service.contract not in contracts:
        yield f"service {name}: contract {service.contract!r} is not published; name one of: {known}"
    elif service.protocol == "grpc" and not service.grpc_services:
        yield f"service {name}: it implements no gRPC service; name them in grpc_services, as in pspd.ServiceA"
    for workload in service.workloads.values():
        where = f"workload {workload.id} of {name}"
        if not WORKLOAD_ID.fullmatch(workload.id):
            yield f"workload {workload.id!r} of {name}: an id is lower-case letters, digits and hyphens, at most 100"
        if address_parts(workload.address) is None:
            yield f"{where}: address {workload.address!r} is not of the form 127.0.0.1:15100"
        if not workload.app.removeprefix("unix:"):
            yield f"{where}: app is empty; say where its sidecar reaches it, as in unix:app.sock"
    yield from _weights(name, service)


def _weights(name: str, service: Service) -> Iterator[str]:
    if not service.weights:
        return
    if any(not 0 <= percent <= 100 for percent in service.weights.values()) or sum(service.weights.values()) != 100:
        said = " ".join(f"{version}={percent}" for version, percent in service.weights.items())
        yield f"service {name}: weights are percents from 0 to 100 that sum to 100, and {said} are not"
    versions = service.versions()
    for version, percent in service.weights.items():
        if percent and version not in versions:
            rest = " or ".join(versions) or "a version that has workloads"
            yield (
                f"service {name}: {percent} % of its traffic would go to version {version}, which has no workload; "
                f"keep a workload of {version}, or shift its traffic to {rest} first"
            )


def _route(where: str, route: Route) -> Iterator[str]:
    if not ROUTE_NAME.fullmatch(route.name):
        yield f"{where}: the name {route.name!r} is not letters, digits, dots, hyphens and underscores, at most 100"
    if route.method not in METHODS:
        yield f"{where}: method {route.method!r} is not known; say one of {', '.join(METHODS)}"
    if route.path in EDGE_PATHS:
        yield f"{where}: {route.path} is the edge's own; choose another path"
    elif not PATH.fullmatch(route.path):
        yield f"{where}: {route.path!r} is not a path as in /a/hello, without query or placeholders"
    if not 0 < route.timeout_seconds <= TIMEOUT_MAX_SECONDS:
        yield f"{where}: timeout_seconds is {route.timeout_seconds}; it must be above 0 and at most {TIMEOUT_MAX_SECONDS}"
    if not 0 <= route.retries <= RETRIES_MAX:
        yield f"{where}: retries is {route.retries}; it must be from 0 to {RETRIES_MAX}"
    elif route.retries and route.method not in SAFE_METHODS:
        yield f"{where}: a {route.method} sent again may be done twice; set retries to 0"


def _conflicts(topology: Topology) -> Iterator[str]:
    """What two services or workloads cannot both have."""
    services = topology.services.items()
    routes = [(name, s.protocol, route) for name, s in services for route in s.routes]
    workloads = [(f"{name}'s {id_}", id_, workload) for name, s in services for id_, workload in s.workloads.items()]
    asked = ((f"{route.method} {route.path} on the {path} path", name) for name, path, route in routes)
    for what, one, other in twice(asked):
        yield f"{what} is routed twice, to {one} and to {other}; change one of the routes"
    for what, one, other in twice((route.name, f"{name} for {route.path}") for name, _, route in routes):
        yield f"route name {what} is used twice, by {one} and by {other}; give one of them a name of its own"
    for what, one, other in twice((grpc, name) for name, s in services for grpc in s.grpc_services):
        yield f"gRPC service {what} is claimed twice, by {one} and by {other}; only one service can answer for it"
    for what, one, other in twice((f"{name}-{version}", name) for name, s in services for version in s.versions()):
        yield f"{what} would mean a version of {one} as well as one of {other}; rename one of them"
    for what, one, other in twice((id_, name) for name, id_, _ in workloads):
        yield f"workload id {what} is used twice, as {one} and as {other}; rename a service or a version"
    for what, one, other in twice((workload.address, name) for name, _, workload in workloads):
        yield f"address {what} is given to two workloads, {one} and {other}; give one of them another port"
