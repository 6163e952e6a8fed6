"""The topology file: what a person writes down of a mesh. TOML; manifests/topology.toml is one, with comments.

    [contracts.pspd]                      a FileDescriptorSet, with its imports, that services implement
    descriptor_set = "services.stubs:pspd.binpb"    in a Python package; or a path, seen from this file
    [services.a]                          what callers name
    protocol = "grpc"                     "grpc" (needs the next two) or "http": which path of the edge leads to it
    contract = "pspd"
    grpc_services = ["pspd.ServiceA"]
    weights = {v1 = 100, v2 = 0}          percent; without it, all goes to the version that joined first
    [[services.a.routes]]
    path = "/a/hello"                     exact; and method, timeout_seconds, retries, streams, name
    [services.a.versions.v1]
    replicas = 1
    [edge]  [limits]  [telemetry]  [identity]       the fields of the same names in mesh/events.py
    [on.laptop.services.a]                how a laptop starts a workload of the service, and on which ports
    command = ["{python}", "-m", "services.a", "--listen", "{listen}"]
    first_port = 15100
    [on.laptop.edge]  [on.laptop.telemetry]  ...    what is other on a laptop than it is said above
    [on.kubernetes]  [on.vm]              belong to other substrates; not read here

Rules: a key that nobody knows is an error, and every error is one sentence that says where; what contradicts itself across
services is found by mesh/invariants.py, whoever wrote it.
"""

import importlib.resources
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import DecodeError
from msgspec import Meta

from mesh.errors import UnreadableFile
from mesh.events import Edge, Identity, Limits, Telemetry
from mesh.tables import Misread, PartOf, at, did_you_mean, read_table

REPLICAS_MAX = 10  # of one version: their ports are ten apart from the next version's
FILE_MAX_BYTES = 1024 * 1024  # more was not written by a person, and not meant for us
_IN_PACKAGE = re.compile(r"(?P<package>[A-Za-z_]\w*(\.\w+)*):(?P<name>.+)")

Port = Annotated[int, Meta(ge=1, le=65_535)]
Percent = Annotated[int, Meta(ge=0, le=100)]


@dataclass(frozen=True, slots=True)
class ContractTable:
    descriptor_set: str


@dataclass(frozen=True, slots=True)
class RouteTable:
    path: str
    method: str = "GET"
    timeout_seconds: float = 15.0
    retries: int = 0
    streams: bool = False
    name: str = ""  # empty: "<service>.<last segment of the path>"


@dataclass(frozen=True, slots=True)
class VersionTable:
    replicas: Annotated[int, Meta(ge=0, le=REPLICAS_MAX)] = 1


@dataclass(frozen=True, slots=True)
class ServiceTable:
    protocol: str
    versions: dict[str, VersionTable]
    contract: str = ""
    grpc_services: tuple[str, ...] = ()
    routes: tuple[RouteTable, ...] = ()
    weights: dict[str, Percent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LaptopServiceTable:
    command: tuple[str, ...]
    first_port: Port


@dataclass(frozen=True, slots=True)
class LaptopTable:
    services: dict[str, LaptopServiceTable] = field(default_factory=dict)
    edge: Annotated[dict[str, Any], PartOf(Edge)] = field(default_factory=dict)
    limits: Annotated[dict[str, Any], PartOf(Limits)] = field(default_factory=dict)
    telemetry: Annotated[dict[str, Any], PartOf(Telemetry)] = field(default_factory=dict)
    identity: Annotated[dict[str, Any], PartOf(Identity)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OnTable:
    laptop: LaptopTable = field(default_factory=LaptopTable)
    kubernetes: dict[str, Any] = field(default_factory=dict)
    vm: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopologyFile:
    contracts: dict[str, ContractTable] = field(default_factory=dict)
    services: dict[str, ServiceTable] = field(default_factory=dict)
    edge: Edge = field(default_factory=Edge)
    limits: Limits = field(default_factory=Limits)
    telemetry: Telemetry = field(default_factory=Telemetry)
    identity: Identity = field(default_factory=Identity)
    on: OnTable = field(default_factory=OnTable)


def read_topology_file(path: Path) -> TopologyFile:
    """What stands in the file at `path`. Raises: UnreadableFile."""
    text = _text(path)
    try:
        file = read_table(TopologyFile, tomllib.loads(text))
        _hold_together(file)
    except Misread as error:
        raise UnreadableFile(f"{path}: {error}") from None
    except RecursionError:
        raise UnreadableFile(f"{path}: its lists are nested too deeply to be a topology") from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        end = f"(at line {text.count(chr(10)) + 1}, the end of the file)"
        raise UnreadableFile(f"{path} is not TOML: {str(error).replace('(at end of document)', end)}") from None
    return file


def descriptor_sets(file: TopologyFile, path: Path) -> dict[str, bytes]:
    """The contracts that `file`, which was read from `path`, names. Raises: UnreadableFile."""
    sets: dict[str, bytes] = {}
    for name, contract in file.contracts.items():
        where = f"{path}: {at('contracts', name)}.descriptor_set {contract.descriptor_set!r}"
        sets[name] = _descriptor_set(contract.descriptor_set, path.parent, where)
        known = sorted(_grpc_services(sets[name], where))
        for service, table in file.services.items():
            for grpc_service in table.grpc_services if table.contract == name else ():
                if grpc_service not in known:
                    raise UnreadableFile(
                        f"{path}: {at('services', service)}.grpc_services: contract {name} has no gRPC service "
                        f"{grpc_service}; {did_you_mean(grpc_service, known)}"
                    )
    return sets


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableFile(f"there is no topology file {path}") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableFile(f"{path} cannot be read: {reason}") from None
    if len(content) > FILE_MAX_BYTES:
        raise UnreadableFile(f"{path} is over {FILE_MAX_BYTES // 1024} KiB: that is no topology file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(f"{path} is not TOML: line {line} is not UTF-8") from None


def _hold_together(file: TopologyFile) -> None:
    """Names in one table that stand for another table must mean one. Raises: Misread."""
    for service in file.on.laptop.services:
        if service not in file.services:
            known = did_you_mean(service, list(file.services))
            raise Misread(f"{at('on.laptop.services', service)} is about no service of this file; {known}")
    for service, table in file.services.items():
        for version in table.weights:
            if version not in table.versions:
                known = did_you_mean(version, list(table.versions))
                raise Misread(
                    f"{at(at('services', service) + '.weights', version)} is no version of {service}; {known}"
                )


def _descriptor_set(said: str, beside: Path, where: str) -> bytes:
    in_package = _IN_PACKAGE.fullmatch(said)
    try:
        if in_package:
            return importlib.resources.files(in_package["package"]).joinpath(in_package["name"]).read_bytes()
        return (beside / said).read_bytes()
    except (OSError, ImportError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableFile(f"{where} cannot be read: {reason}") from None


def _grpc_services(descriptor_set: bytes, where: str) -> Iterator[str]:
    """Full names of the gRPC services in a set that must be complete. Raises: UnreadableFile."""
    pool = descriptor_pool.DescriptorPool()
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file
        for file in files:
            pool.Add(file)  # type: ignore[no-untyped-call, unused-ignore]
    except (DecodeError, TypeError) as error:
        reason = " ".join(str(error).split())
        hint = "make it with protoc --include_imports --descriptor_set_out"
        raise UnreadableFile(f"{where} is not a complete FileDescriptorSet ({reason}); {hint}") from None
    for file in files:
        for service in file.service:
            yield f"{file.package}.{service.name}" if file.package else service.name
