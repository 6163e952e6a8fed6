"""Service B: one question, a stream of answers. Runs alone: `python -m services.b`, port 50052."""

import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import grpc

from services import server
from services.pacing import paced
from services.rules import numbers
from services.stubs import pspd_pb2, pspd_pb2_grpc


class ServiceB(pspd_pb2_grpc.ServiceBServicer):
    async def StreamNumbers(  # noqa: N802 - the contract's name
        self, request: pspd_pb2.StreamRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[pspd_pb2.NumberReply]:
        # a client that leaves, or its deadline, cancels this at the next pause
        async for value in paced(numbers(request.count, request.delay_ms)):
            yield pspd_pb2.NumberReply(value=value)


def add(to: grpc.aio.Server) -> None:
    pspd_pb2_grpc.add_ServiceBServicer_to_server(ServiceB(), to)  # type: ignore[no-untyped-call]


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    service = pspd_pb2.DESCRIPTOR.services_by_name["ServiceB"]
    return server.main("b", "127.0.0.1:50052", service, add, argv, environ)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
