"""The reference's B: streaming gRPC on threads, each asleep while it pauses. `python -m loadtests.reference.b`"""

import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc

from loadtests.reference.serving import serve_grpc
from services.stubs import pspd_pb2, pspd_pb2_grpc

DEFAULT_COUNT = 5


class ServiceB(pspd_pb2_grpc.ServiceBServicer):
    def StreamNumbers(  # noqa: N802 - the contract's name
        self, request: pspd_pb2.StreamRequest, context: Any
    ) -> Iterator[pspd_pb2.NumberReply]:
        count = request.count if request.count > 0 else DEFAULT_COUNT
        for value in range(1, count + 1):
            yield pspd_pb2.NumberReply(value=value)
            time.sleep(max(request.delay_ms, 0) / 1_000)


def add(to: grpc.Server) -> None:
    pspd_pb2_grpc.add_ServiceBServicer_to_server(ServiceB(), to)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    raise SystemExit(serve_grpc("b", 50_052, add, sys.argv[1:]))
