"""Service A: one question, one answer. Runs alone: `python -m services.a`, then `grpcurl -plaintext localhost:50051 list`."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from services import server
from services.rules import greeting
from services.stubs import pspd_pb2, pspd_pb2_grpc


class ServiceA(pspd_pb2_grpc.ServiceAServicer):
    async def SayHello(  # noqa: N802 - the contract's name
        self, request: pspd_pb2.HelloRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pspd_pb2.HelloReply:
        return pspd_pb2.HelloReply(message=greeting(request.name, by="A"))


def add(to: grpc.aio.Server) -> None:
    pspd_pb2_grpc.add_ServiceAServicer_to_server(ServiceA(), to)  # type: ignore[no-untyped-call]


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    service = pspd_pb2.DESCRIPTOR.services_by_name["ServiceA"]
    return server.main("a", "127.0.0.1:50051", service, add, argv, environ)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
