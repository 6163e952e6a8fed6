"""What the contracts of a topology say about its gRPC methods.

Rules: contracts are FileDescriptorSets with their imports. Two contracts may carry the same file (google/api/http.proto
always is), but not two different files under one name: Envoy and reflection would then describe what nobody serves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, MethodOptions

from mesh.errors import InvalidTopology
from mesh.topology import Topology


@dataclass(frozen=True, slots=True)
class Method:
    service: str  # full name: "pspd.ServiceA"
    name: str
    http_path: str  # where google.api.http puts it; empty: nowhere
    changes_nothing: bool  # a failed attempt may be sent again

    @property
    def grpc_path(self) -> str:
        return f"/{self.service}/{self.name}"


def grpc_services(topology: Topology) -> list[str]:
    """Full names of everything that the gRPC path offers, in order and each once."""
    offered = [name for service in topology.services.values() for name in service.grpc_services]
    return list(dict.fromkeys(offered))


def merged(contracts: Mapping[str, bytes]) -> FileDescriptorSet:
    """All contracts as one set in which every file stands once, after what it imports. Raises: InvalidTopology."""
    files: dict[str, FileDescriptorProto] = {}
    for contract, described in contracts.items():
        for file in FileDescriptorSet.FromString(described).file:
            if files.setdefault(file.name, file) != file:
                raise InvalidTopology(f"contract {contract!r} has another {file.name} than a contract before it")
    return FileDescriptorSet(file=files.values())


def methods(described: FileDescriptorSet, services: Sequence[str]) -> list[Method]:
    """The methods of `services` (full names). Raises: InvalidTopology where no contract describes one of them."""
    found: dict[str, list[Method]] = {}
    for file in described.file:
        for service in file.service:
            full_name = f"{file.package}.{service.name}".lstrip(".")
            found[full_name] = [_method(full_name, method) for method in service.method]
    unknown = [name for name in services if name not in found]
    if unknown:
        raise InvalidTopology(f"no contract describes {', '.join(unknown)}")
    return [method for name in services for method in found[name]]


def _method(service: str, method: MethodDescriptorProto) -> Method:
    rule: Any = method.options.Extensions[annotations_pb2.http]  # type: ignore[index, unused-ignore]
    return Method(
        service,
        method.name,
        http_path=rule.get or rule.post or rule.put or rule.patch or rule.delete,
        changes_nothing=method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
    )
