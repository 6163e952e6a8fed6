"""The reference's A: unary gRPC on threads. `python -m loadtests.reference.a`"""

import sys
from typing import Any

import grpc

from loadtests.reference.serving import serve_grpc
from services.stubs import pspd_pb2, pspd_pb2_grpc


class ServiceA(pspd_pb2_grpc.ServiceAServicer):
    def SayHello(self, request: pspd_pb2.HelloRequest, context: Any) -> pspd_pb2.HelloReply:  # noqa: N802 - the contract's
        return pspd_pb2.HelloReply(message=f"Olá, {request.name or 'world'}! [A]")


def add(to: grpc.Server) -> None:
    pspd_pb2_grpc.add_ServiceAServicer_to_server(ServiceA(), to)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    raise SystemExit(serve_grpc("a", 50_051, add, sys.argv[1:]))
