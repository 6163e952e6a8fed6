"""Reflection of one server, from the descriptors that its stubs bring along (the default pool)."""

from collections.abc import Sequence

import grpc
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha.reflection import aio

from mesh.grpc_reflection import V1, V1ALPHA, add_reflection, v1_file


def add(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Let `server` answer for `services` (full names, of descriptors in the default pool) and for reflection itself."""
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(v1_file().SerializeToString())
    servicer = aio.ReflectionServicer([*services, V1, V1ALPHA], pool=pool)  # type: ignore[no-untyped-call]
    add_reflection(servicer.ServerReflectionInfo, server)
