"""What must hold of the settings of a mesh: its edge, limits, telemetry, identity and faults. Pure; asked by mesh/invariants.py.

The bounds are those of Envoy, of ports and of certificates; each problem is one sentence that says what to do.
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import asdict
from ipaddress import ip_address

from mesh.events import Edge, Identity, Limits, Telemetry, Workload
from mesh.topology import Fault

DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
DNS_NAME_MAX = 253
ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")
ENDPOINT = re.compile(
    r"http://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})(?P<path>(/[A-Za-z0-9._~%-]+)*)"
)
TELEMETRY_PROTOCOLS = ("grpc", "http/protobuf")
PORT_MAX = 65_535
UINT31_MAX = 2**31 - 1  # what an HTTP/2 setting holds
HEADERS_MAX_KIB = 8_192  # Envoy's own bound
CERTIFICATE_MIN_SECONDS = 10  # shorter, and a renewal could not overtake the expiry
CERTIFICATE_MAX_SECONDS = 10 * 366 * 86_400
FAULT_MIN_MS = 0.1  # less is lost in what holding a call costs by itself
FAULT_MAX_MS = 100.0  # the sidecar's worker does nothing else meanwhile (mesh/xds/fault.lua)


def edge_problems(edge: Edge, workloads: Mapping[str, Workload]) -> Iterator[str]:
    if edge.id.startswith("sidecar-") or edge.id in workloads:
        yield f"edge {edge.id}: a sidecar or a workload has this name; rename the edge"
    if not _is_ip(edge.address):
        yield f"edge: address {edge.address!r} is not an IP address; say 127.0.0.1, or 0.0.0.0 for every interface"
    for field in ("grpc_host", "rest_host"):
        if not _is_dns_name(getattr(edge, field)):
            yield f"edge: {field} {getattr(edge, field)!r} is not a lower-case host name as in pspd.local"
    for origin in edge.allow_origins:
        if not ORIGIN.fullmatch(origin):
            yield f"edge: allow_origins has {origin!r}; an origin looks like https://example.org:8443, or is *"
    yield from _edge_port_problems(edge, workloads)


def _edge_port_problems(edge: Edge, workloads: Mapping[str, Workload]) -> Iterator[str]:
    ports = {field: getattr(edge, field) for field in ("grpc_port", "rest_port", "admin_port")}
    for field, port in ports.items():
        if not 1 <= port <= PORT_MAX:
            yield f"edge: {field} is {port}; a port is from 1 to {PORT_MAX}"
    for port, one, other in twice((port, field) for field, port in ports.items()):
        yield f"edge: {one} and {other} are both {port}; give one of them another port"
    for workload in workloads.values():
        for field, port in ports.items():
            host = "127.0.0.1" if field == "admin_port" else edge.address  # the admin port is never open to others
            if _meet(host, port, workload.address):
                yield f"edge: {field} {port} is that of workload {workload.id}; give one of them another port"


def limits_problems(limits: Limits) -> Iterator[str]:
    for field, value in asdict(limits).items():
        most = HEADERS_MAX_KIB if field == "request_headers_kib" else UINT31_MAX
        if not 0 < value <= most:
            yield f"limits: {field} is {value}; it must be above 0 and at most {most}"


def telemetry_problems(telemetry: Telemetry) -> Iterator[str]:
    if not 0 <= telemetry.sampling_percent <= 100:
        yield f"telemetry: sampling_percent is {telemetry.sampling_percent}; it must be from 0 to 100"
    if telemetry.protocol not in TELEMETRY_PROTOCOLS:
        yield f"telemetry: protocol {telemetry.protocol!r} is not known; say {' or '.join(TELEMETRY_PROTOCOLS)}"
    if telemetry.endpoint and not _is_endpoint(telemetry):
        yield (
            f"telemetry: endpoint {telemetry.endpoint!r} is not of the form http://127.0.0.1:4317 (plain http, with a port, "
            f"and a path only for http/protobuf); what speaks TLS is reached through a collector beside the mesh"
        )


def _is_endpoint(telemetry: Telemetry) -> bool:
    found = ENDPOINT.fullmatch(telemetry.endpoint)
    if found is None or not 1 <= int(found["port"]) <= PORT_MAX:
        return False
    return not found["path"] or telemetry.protocol != "grpc"


def identity_problems(identity: Identity) -> Iterator[str]:
    if not _is_dns_name(identity.trust_domain):
        yield f"identity: trust_domain {identity.trust_domain!r} is not a lower-case domain name as in pspd.local"
    if not CERTIFICATE_MIN_SECONDS <= identity.certificate_lifetime_seconds <= CERTIFICATE_MAX_SECONDS:
        yield (
            f"identity: certificate_lifetime_seconds is {identity.certificate_lifetime_seconds}; "
            f"it must be from {CERTIFICATE_MIN_SECONDS} (a renewal takes time) to {CERTIFICATE_MAX_SECONDS}"
        )


def fault_problems(workload: str, fault: Fault) -> Iterator[str]:
    if not FAULT_MIN_MS <= fault.delay_ms <= FAULT_MAX_MS:
        yield f"fault in {workload}: delay_ms is {fault.delay_ms}; it must be from {FAULT_MIN_MS} to {FAULT_MAX_MS}"
    if not 0 < fault.percent <= 100:
        yield f"fault in {workload}: percent is {fault.percent}; it must be above 0 and at most 100"


def address_parts(address: str) -> tuple[str, int] | None:
    """Host and port of "127.0.0.1:15100" or "[::1]:15100"; None if it is not of that form."""
    host, _, port = address.rpartition(":")
    if ":" in host:  # IPv6
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else ""
    if not (_is_ip(host) and re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= PORT_MAX):
        return None
    return host, int(port)


def twice(named: Iterable[tuple[Hashable, str]]) -> Iterator[tuple[Hashable, str, str]]:
    """What is named again, with who named it first and who names it now."""
    first: dict[Hashable, str] = {}
    for what, who in named:
        if what in first:
            yield what, first[what], who
        first.setdefault(what, who)


def _meet(edge_host: str, port: int, address: str) -> bool:
    """Whether the edge and a workload would listen in one place, as far as addresses can tell."""
    parts = address_parts(address)
    if parts is None or parts[1] != port or not _is_ip(edge_host):
        return False
    return parts[0] == edge_host or (ip_address(edge_host).is_unspecified and ip_address(parts[0]).is_loopback)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_dns_name(name: str) -> bool:
    return len(name) <= DNS_NAME_MAX and DNS_NAME.fullmatch(name) is not None
