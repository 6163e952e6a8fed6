"""The other side of the control API: what was wrong there is raised here, as the same error with the same sentence."""

from collections.abc import AsyncGenerator, Awaitable
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from mesh.commands import Command
from mesh.control.replies import CallBooks, Executed, FaultInForce, MeshStatus, NodeStatus
from mesh.control.stubs import control_pb2, control_pb2_grpc
from mesh.control.wire import ERROR_TRAILER, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, entry_from_message, error_named
from mesh.errors import ControlPlaneUnavailable, MeshError
from mesh.log.codec import encode, encode_command
from mesh.log.port import START, Commit, Entry, Position, Produced

UNARY_SECONDS = 10.0
OPTIONS = (
    ("grpc.max_receive_message_length", REPLY_BYTES_MAX),
    ("grpc.max_send_message_length", REQUEST_BYTES_MAX),
    ("grpc.enable_http_proxy", 0),  # a proxy of the environment has no business here
    ("grpc.use_local_subchannel_pool", 1),  # a new client tries at once, whatever earlier ones met
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

Reply = TypeVar("Reply")


class ControlClient:
    """Made on the event loop that uses it. Every method raises ControlPlaneUnavailable where nobody answers."""

    def __init__(self, address: str, *, timeout_seconds: float = UNARY_SECONDS) -> None:
        """`address` is gRPC's: "unix:/path/control.sock"."""
        self._address = address
        self._seconds = timeout_seconds
        self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        self._stub: Any = control_pb2_grpc.ControlStub(self._channel)  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def execute(self, command: Command, *, actor: str, reason: str = "", command_id: str = "") -> Executed:
        """Raises: Refused, ConcurrentAppend, LogUnavailable. With a `command_id` of your own it is safe to ask again."""
        request = control_pb2.ExecuteRequest(
            command=encode_command(command), command_id=command_id, actor=_text(actor), reason=_text(reason)
        )
        reply: control_pb2.ExecuteReply = await self._asked(self._stub.Execute(request, timeout=self._seconds))
        return Executed(reply.position, tuple(reply.events))

    async def append(self, stream: str, commit: Commit, *, produced: Produced | None = None) -> Position:
        """To a stream calls/<edge>, or to `runs`. Raises: LogUnavailable, UnreadableEvent (what does not belong there)."""
        request = control_pb2.AppendRequest(stream=stream, commit=encode(commit))
        if produced is not None:
            request.producer, request.offset = produced.producer, produced.offset
        reply: control_pb2.AppendReply = await self._asked(self._stub.Append(request, timeout=self._seconds))
        return reply.position

    async def produced(self, stream: str, producer: str) -> int:
        """How far `producer` has got; 0: never heard of it. Raises: LogUnavailable."""
        request = control_pb2.ProducedRequest(stream=stream, producer=producer)
        reply: control_pb2.ProducedReply = await self._asked(self._stub.Produced(request, timeout=self._seconds))
        return reply.offset

    async def status(self) -> MeshStatus:
        """Raises: LogUnavailable."""
        request = control_pb2.StatusRequest()
        reply: control_pb2.StatusReply = await self._asked(self._stub.Status(request, timeout=self._seconds))
        nodes = (
            NodeStatus(node.id, node.kind, node.connected, node.served, node.acknowledged, node.rejected)
            for node in reply.nodes
        )
        calls = (CallBooks(books.edge, books.recorded, books.lost) for books in reply.calls)
        faults = (FaultInForce(fault.workload, fault.delay_ms, fault.percent) for fault in reply.faults)
        return MeshStatus(reply.position, tuple(nodes), tuple(calls), tuple(faults))

    def read(self, streams: str = "", after: Position = START, limit: int = 0) -> AsyncGenerator[Entry, None]:
        """What is kept now; `limit` 0: all of it. Raises: LogUnavailable, UnreadableEvent."""
        return self._entries(self._stub.Read(control_pb2.ReadRequest(stream=streams, after=after, limit=limit)))

    def watch(self, streams: str = "", after: Position = START) -> AsyncGenerator[Entry, None]:
        """What is kept, and every commit as it comes, until the control plane ends (ControlPlaneUnavailable)."""
        return self._entries(self._stub.Watch(control_pb2.ReadRequest(stream=streams, after=after)))

    async def _asked(self, answer: Awaitable[Reply]) -> Reply:
        try:
            return await answer
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error

    async def _entries(self, call: Any) -> AsyncGenerator[Entry, None]:
        try:
            async for message in call:
                yield entry_from_message(message)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error
        finally:
            call.cancel()  # who leaves the loop early leaves the server too

    def _error(self, error: grpc.aio.AioRpcError) -> MeshError:
        said = error.details() or ""
        known = error_named(str(dict(error.trailing_metadata()).get(ERROR_TRAILER, "")), said)
        if known is not None:
            return known
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                return ControlPlaneUnavailable(f"no control plane answers at {self._address} ({said}); is the mesh up?")
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return ControlPlaneUnavailable(
                    f"the control plane at {self._address} did not answer within {self._seconds:g} s; "
                    "what was asked may still happen"
                )
            case grpc.StatusCode.UNIMPLEMENTED:
                return ControlPlaneUnavailable(f"the control plane at {self._address} is of another meshlog: {said}")
            case code:
                return ControlPlaneUnavailable(f"the control plane at {self._address} failed ({code.name}): {said}")


def _text(said: str) -> str:
    """A command line may hold bytes that are no text; protobuf takes text only."""
    return said.encode("utf-8", "replace").decode()
