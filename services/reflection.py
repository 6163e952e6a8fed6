"""Reflection of one server, as v1 and as v1alpha: the same messages under two names.

grpcio-reflection has v1alpha alone; v1's file is made from it here, so that a client can look v1 itself up as well.
"""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
V1 = "grpc.reflection.v1.ServerReflection"


def add(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Let `server` answer for `services` (full names, of descriptors in the default pool) and for reflection itself."""
    servicer = aio.ReflectionServicer([*services, V1, V1ALPHA], pool=_pool_with_v1())  # type: ignore[no-untyped-call]
    method: Any = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}) for name in (V1, V1ALPHA))
    )


def _pool_with_v1() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = "grpc/reflection/v1/reflection.proto"
    file.package = "grpc.reflection.v1"
    for message in file.message_type:
        for field in message.field:
            if field.type_name:  # of a message; to set it, even to nothing, would make one of a string
                field.type_name = _as_v1(field.type_name)
    for method in file.service[0].method:
        method.input_type, method.output_type = _as_v1(method.input_type), _as_v1(method.output_type)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _as_v1(name: str) -> str:
    return name.replace(".grpc.reflection.v1alpha.", ".grpc.reflection.v1.")
