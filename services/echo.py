"""Echo, for benchmarks alone: a payload there and back. Runs alone: `python -m services.echo`, port 50053."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc

from services import server
from services.rules import PAYLOAD_BYTES_MAX, echoed
from services.stubs import echo_pb2, echo_pb2_grpc

MESSAGE_BYTES_MAX: Final = (
    2 * PAYLOAD_BYTES_MAX
)  # who is somewhat over the bound is told so; beyond, it is not even read


class Echo(echo_pb2_grpc.EchoServicer):
    async def Echo(  # noqa: N802 - the contract's name
        self, request: echo_pb2.EchoRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> echo_pb2.EchoReply:
        return echo_pb2.EchoReply(payload=echoed(request.payload))


def add(to: grpc.aio.Server) -> None:
    echo_pb2_grpc.add_EchoServicer_to_server(Echo(), to)  # type: ignore[no-untyped-call]


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    service = echo_pb2.DESCRIPTOR.services_by_name["Echo"]
    return server.main("echo", "127.0.0.1:50053", service, add, argv, environ, message_bytes_max=MESSAGE_BYTES_MAX)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
