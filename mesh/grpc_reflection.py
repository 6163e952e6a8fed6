"""Reflection as v1 and as v1alpha: the same messages under two names.

grpcio-reflection has v1alpha alone; v1's file is made from it here, so that a client can look v1 itself up as well.
"""

from collections.abc import AsyncIterable, Callable, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

_V1_PACKAGE, _V1ALPHA_PACKAGE = "grpc.reflection.v1", "grpc.reflection.v1alpha"
V1, V1ALPHA = f"{_V1_PACKAGE}.ServerReflection", f"{_V1ALPHA_PACKAGE}.ServerReflection"

Behaviour = Callable[[Any, Any], AsyncIterable[Any]]
"""(requests, context) -> responses, as ReflectionServicer.ServerReflectionInfo has it."""


def reflection_of(services: Sequence[str], pool: DescriptorPool) -> Behaviour:
    """Answers for `services` (full names) and for all that stands in `pool`."""
    servicer: Any = aio.ReflectionServicer(services, pool=_WithMethods(pool))  # type: ignore[no-untyped-call, unused-ignore]
    behaviour: Behaviour = servicer.ServerReflectionInfo
    return behaviour


class _WithMethods:
    """A pool that finds the file of a method too: clients ask for `pspd.ServiceA.SayHello` as readily as for
    `pspd.ServiceA` (ghz, grpcurl describe), and protobuf's own finds every symbol but those."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def FindFileContainingSymbol(self, symbol: str) -> Any:  # noqa: N802 - the pool's name
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


def add_reflection(behaviour: Behaviour, server: grpc.aio.Server) -> None:
    """Let `server` answer reflection by `behaviour`, whichever name it is asked by."""
    method: Any = grpc.stream_stream_rpc_method_handler(
        behaviour,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}) for name in (V1, V1ALPHA))
    )


def v1alpha_file() -> FileDescriptorProto:
    """What describes V1ALPHA."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    return file


def v1_file() -> FileDescriptorProto:
    """What describes V1: v1alpha's file, renamed."""
    file = v1alpha_file()
    file.name, file.package = "grpc/reflection/v1/reflection.proto", _V1_PACKAGE
    for message in file.message_type:
        for field in message.field:
            if field.type_name:  # of a message; to set it, even to nothing, would make one of a string
                field.type_name = _renamed(field.type_name)
    for method in file.service[0].method:
        method.input_type, method.output_type = _renamed(method.input_type), _renamed(method.output_type)
    return file


def _renamed(name: str) -> str:
    return name.replace(f".{_V1ALPHA_PACKAGE}.", f".{_V1_PACKAGE}.")
