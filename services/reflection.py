"""Reflection of one server, from the descriptors that its stubs bring along (the default pool)."""

from collections.abc import Sequence

import grpc
from google.protobuf import descriptor_pool

from mesh.grpc_reflection import V1, V1ALPHA, add_reflection, reflection_of, v1_file


def add(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Let `server` answer for `services` (full names, of descriptors in the default pool) and for reflection itself."""
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(v1_file().SerializeToString())
    add_reflection(reflection_of([*services, V1, V1ALPHA], pool), server)
