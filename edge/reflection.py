"""The edge's own gRPC server: reflection and health for all services of the topology, behind one port.

A service reflects itself when it runs alone; behind the edge a client asks one place for all of them, and gets their
descriptors from the topology's contracts: no service is asked. Rules: reflection answers as v1 and as v1alpha; a service
is SERVING while it has a workload; the topology may change while clients are connected; without one, the server reflects
itself alone.
"""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from edge.descriptors import grpc_services, merged
from mesh.grpc_reflection import V1, V1ALPHA, Behaviour, add_reflection, reflection_of, v1_file, v1alpha_file
from mesh.topology import Topology

HEALTH = health.SERVICE_NAME
OWN_SERVICES = (V1, V1ALPHA, HEALTH)
STOP_SECONDS = 1.0

Status = health_pb2.HealthCheckResponse


async def serve(listen: str, topologies: AsyncIterator[Topology]) -> None:
    """Answer on `listen` ("unix:reflection.sock", "127.0.0.1:50050") for the newest of `topologies`, until cancelled."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])  # a taken address is an error, not a share
    answers = Answers()
    answers.add_to(server)
    server.add_insecure_port(listen)
    await server.start()
    try:
        async for topology in topologies:
            await answers.describe(topology)
        await server.wait_for_termination()
    finally:
        await server.stop(STOP_SECONDS)


class Answers:
    """What the server says now."""

    def __init__(self) -> None:
        self._reflection = _reflection(Topology())
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined, unused-ignore]
        self._known: set[str] = set()

    def add_to(self, server: grpc.aio.Server) -> None:
        add_reflection(self._reflect, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)  # type: ignore[no-untyped-call, unused-ignore]

    async def describe(self, topology: Topology) -> None:
        self._reflection = _reflection(topology)
        statuses = _statuses(topology)
        for gone in self._known - statuses.keys():
            statuses[gone] = Status.SERVICE_UNKNOWN
        for service, status in statuses.items():
            await self._health.set(service, status)
        self._known = set(statuses)

    async def _reflect(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            # one at a time, so that a connection that stays open hears of a new topology
            async for response in self._reflection(_only(request), context):
                yield response


async def _only(request: Any) -> AsyncIterator[Any]:
    yield request


def _statuses(topology: Topology) -> dict[str, int]:
    """Health by full name of the service."""
    statuses: dict[str, int] = dict.fromkeys(OWN_SERVICES, Status.SERVING)
    for service in topology.services.values():
        for name in service.grpc_services:
            statuses[name] = Status.SERVING if service.workloads else Status.NOT_SERVING
    return statuses


def _reflection(topology: Topology) -> Behaviour:
    """What describes `topology`, from a pool of its own: contracts change while we run."""
    files = {file.name: file for file in (v1alpha_file(), v1_file(), _health_file(), *merged(topology.contracts).file)}
    pool = DescriptorPool()
    for file in files.values():
        pool.AddSerializedFile(file.SerializeToString())
    return reflection_of([*grpc_services(topology), *OWN_SERVICES], pool)


def _health_file() -> FileDescriptorProto:
    file = FileDescriptorProto()
    health_pb2.DESCRIPTOR.CopyToProto(file)
    return file
