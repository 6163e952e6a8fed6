"""gRPC from the client on, by grpcio on gevent's loop (grpc.experimental.gevent, which Locust recommends).

Rules: a channel and a connection for each client; every message is read and counted. It costs 0.3 ms of CPU a unary call and
2 ms a stream of ten messages, most of it in the bridge to gevent: more than the service does, so its cells are measured
with few users, and voided where the generator was the bottleneck.
"""

from typing import Any

import grpc
import grpc.experimental.gevent
from google.protobuf.message import Message

from loadtests.users.clients import CallFailed
from loadtests.users.journeys import ECHO, HELLO, NUMBERS, SERVICES, Call
from services.stubs import echo_pb2, pspd_pb2

grpc.experimental.gevent.init_gevent()

OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # else all channels of a process share one connection
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
)

# route -> request, reply, method, and whether the answer is a stream
METHODS: dict[str, tuple[Any, Any, str, bool]] = {
    HELLO: (pspd_pb2.HelloRequest, pspd_pb2.HelloReply, "/pspd.ServiceA/SayHello", False),
    NUMBERS: (pspd_pb2.StreamRequest, pspd_pb2.NumberReply, "/pspd.ServiceB/StreamNumbers", True),
    ECHO: (echo_pb2.EchoRequest, echo_pb2.EchoReply, "/meshlog.bench.v1.Echo/Echo", False),
}


class NativeClient:
    """hosts: where each service is, by its name ("a", "b", "echo")."""

    def __init__(self, hosts: dict[str, str], *, timeout_seconds: float, reuse: bool = True) -> None:
        self._hosts = hosts
        self._timeout_seconds = timeout_seconds
        self._reuse = reuse
        self._channels: dict[str, grpc.Channel] = {}
        self._methods: dict[str, Any] = {}

    def call(self, call: Call, traceparent: str) -> int:
        if call.route not in self._methods:
            self._methods[call.route] = self._method(call.route)
        request, method = self._methods[call.route]
        try:
            answer = method(
                request(**call.arguments), timeout=self._timeout_seconds, metadata=(("traceparent", traceparent),)
            )
            messages: list[Message] = [answer] if isinstance(answer, Message) else list(answer)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise CallFailed("timeout") from None
            raise CallFailed(f"gRPC {error.code().name}") from None
        finally:
            if not self._reuse:
                self.close()
        if [getattr(message, message.DESCRIPTOR.fields[0].name) for message in messages] != call.right:
            raise CallFailed("wrong answer")
        return sum(message.ByteSize() for message in messages)

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        self._methods.clear()

    def _method(self, route: str) -> tuple[Any, Any]:
        """The type of its requests, and how it is called."""
        host = self._hosts[SERVICES[route]]
        channel = self._channels.get(host)
        if channel is None:
            channel = self._channels[host] = grpc.insecure_channel(host, options=OPTIONS)
        request, reply, name, is_stream = METHODS[route]
        made = channel.unary_stream if is_stream else channel.unary_unary
        return request, made(name, request.SerializeToString, reply.FromString)
