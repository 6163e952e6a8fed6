"""The control API in front of a control plane and its log (proto/meshlog/control.proto).

Rules: only what others have seen is appended from here (calls, runs of the benchmark), configuration changes by commands alone; a request with one answer
has an end that we set, whatever the caller asked for; every error is one of mesh/errors.py, by the table in
mesh/control/wire.py.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict
from typing import Any, NoReturn, TypeVar

import grpc

from mesh.control.plane import ControlPlane
from mesh.control.stubs import control_pb2, control_pb2_grpc
from mesh.control.wire import ERROR_TRAILER, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, entry_to_message, sentence, status_of
from mesh.errors import MeshError, SubstrateError, UnreadableEvent
from mesh.events import CallEvent, RunEvent
from mesh.log.codec import decode, decode_command
from mesh.log.port import CALLS, RUNS, Commit, Entry, Log, Produced

APPENDABLE = {  # streams -> what they take
    re.compile(rf"{CALLS}[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}"): CallEvent,
    re.compile(RUNS): RunEvent,
}
UNARY_SECONDS = 30.0  # a disk that takes longer is an error, not something to wait for
CONCURRENT_REQUESTS_MAX = 512  # those that watch included
STOP_SECONDS = 5.0  # for what is under way
SOCKET_PATH_BYTES_MAX = 107  # Linux's sockaddr_un
PAGE = 64  # commits read from the log at a time

Reply = TypeVar("Reply")
Context = grpc.aio.ServicerContext[Any, Any]


class ControlServer:
    def __init__(self, plane: ControlPlane, address: str) -> None:
        """`address` is gRPC's: "unix:/path/control.sock", in a directory that only the mesh's owner may enter."""
        self._address = address
        self._service = ControlService(plane)
        options = [
            ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
            ("grpc.max_send_message_length", REPLY_BYTES_MAX),
        ]
        self._server = grpc.aio.server(options=options, maximum_concurrent_rpcs=CONCURRENT_REQUESTS_MAX)
        control_pb2_grpc.add_ControlServicer_to_server(self._service, self._server)  # type: ignore[no-untyped-call]

    async def start(self) -> None:
        """Raises: SubstrateError."""
        path = self._address.removeprefix("unix:")
        if path != self._address and len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
            raise SubstrateError(
                f"{path} is too long for a socket ({SOCKET_PATH_BYTES_MAX} bytes); choose a shorter directory"
            )
        try:
            self._server.add_insecure_port(self._address)
            await self._server.start()
        except RuntimeError as error:
            raise SubstrateError(f"the control API cannot listen on {self._address}: {error}") from error

    async def stop(self) -> None:
        """Take no more requests, end those who watch, finish the rest."""
        self._service.end_watches()
        await self._server.stop(STOP_SECONDS)


class ControlService(control_pb2_grpc.ControlServicer):
    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._log: Log = plane.log
        self._ending = asyncio.Event()

    def end_watches(self) -> None:
        self._ending.set()

    async def Execute(self, request: control_pb2.ExecuteRequest, context: Context) -> control_pb2.ExecuteReply:  # noqa: N802
        async def executed() -> control_pb2.ExecuteReply:
            command = await _readable(context, lambda: decode_command(request.command))
            who = {"actor": request.actor, "reason": request.reason, "command_id": request.command_id}
            position, events = await self._plane.execute(command, **who)
            return control_pb2.ExecuteReply(position=position, events=events)

        return await _answered(context, executed)

    async def Append(self, request: control_pb2.AppendRequest, context: Context) -> control_pb2.AppendReply:  # noqa: N802
        async def appended() -> control_pb2.AppendReply:
            commit = await _readable(context, lambda: _producers_commit(request))
            produced = Produced(request.producer, request.offset) if request.producer else None
            return control_pb2.AppendReply(position=await self._log.append(request.stream, commit, produced=produced))

        return await _answered(context, appended)

    async def Produced(self, request: control_pb2.ProducedRequest, context: Context) -> control_pb2.ProducedReply:  # noqa: N802
        async def found() -> control_pb2.ProducedReply:
            return control_pb2.ProducedReply(offset=await self._log.offset(request.stream, request.producer))

        return await _answered(context, found)

    async def Status(self, request: control_pb2.StatusRequest, context: Context) -> control_pb2.StatusReply:  # noqa: N802
        async def now() -> control_pb2.StatusReply:
            status = await self._plane.status()
            return control_pb2.StatusReply(
                position=status.position,
                nodes=[control_pb2.NodeStatus(**asdict(node)) for node in status.nodes],
                calls=[control_pb2.CallBooks(**asdict(books)) for books in status.calls],
                faults=[control_pb2.FaultInForce(**asdict(fault)) for fault in status.faults],
            )

        return await _answered(context, now)

    async def Read(  # noqa: N802
        self, request: control_pb2.ReadRequest, context: Context
    ) -> AsyncIterator[control_pb2.Entry]:
        try:
            async for entry in self._kept(request):
                yield entry_to_message(entry)
        except MeshError as error:
            await _abort(context, error)

    async def Watch(  # noqa: N802
        self, request: control_pb2.ReadRequest, context: Context
    ) -> AsyncIterator[control_pb2.Entry]:
        try:
            # closed at once when the client has gone, so that the log does not keep waking it
            async with aclosing(_until(self._ending, self._log.follow(request.stream, request.after))) as entries:
                async for entry in entries:
                    yield entry_to_message(entry)
        except MeshError as error:
            await _abort(context, error)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the control plane is ending")

    async def _kept(self, request: control_pb2.ReadRequest) -> AsyncIterator[Entry]:
        """Page by page, so that a long journal never stands in memory."""
        left = request.limit if request.limit > 0 else None
        for name in await self._log.names(request.stream):
            after = request.after
            while left != 0:
                entries = await self._log.read(name, after, PAGE if left is None else min(PAGE, left))
                if not entries:
                    break
                for entry in entries:
                    yield entry
                after = entries[-1].position
                left = None if left is None else left - len(entries)


def _producers_commit(request: control_pb2.AppendRequest) -> Commit:
    """Raises: UnreadableEvent."""
    taken = next((events for streams, events in APPENDABLE.items() if streams.fullmatch(request.stream)), None)
    if taken is None:
        raise UnreadableEvent(
            f"only the streams calls/<edge> and runs take appends, not {request.stream!r}; the mesh changes by commands"
        )
    commit = decode(request.commit)
    for event in commit.events:
        if not isinstance(event, taken):
            raise UnreadableEvent(f"{type(event).__name__} does not belong into {request.stream}")
    return commit


async def _readable(context: Context, read: Callable[[], Reply]) -> Reply:
    """What was asked; an unreadable request is its sender's fault, unlike an unreadable event in our log."""
    try:
        return read()
    except UnreadableEvent as error:
        await _abort(context, error, grpc.StatusCode.INVALID_ARGUMENT)


async def _answered(context: Context, answer: Callable[[], Awaitable[Reply]]) -> Reply:
    try:
        async with asyncio.timeout(UNARY_SECONDS):
            return await answer()
    except MeshError as error:
        await _abort(context, error)
    except TimeoutError:
        await context.abort(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"not done within {UNARY_SECONDS:g} s; it may still happen"
        )


async def _abort(context: Context, error: MeshError, status: grpc.StatusCode | None = None) -> NoReturn:
    trailer = ((ERROR_TRAILER, type(error).__name__),)
    await context.abort(status or status_of(error), sentence(error), trailer)


async def _until(ending: asyncio.Event, entries: AsyncGenerator[Entry, None]) -> AsyncGenerator[Entry, None]:
    """`entries`, until `ending` is set."""
    end = asyncio.create_task(ending.wait())
    async with aclosing(entries):
        try:
            while True:
                entry = asyncio.ensure_future(anext(entries))
                try:
                    await asyncio.wait((end, entry), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not entry.done():
                        entry.cancel()
                        await asyncio.wait((entry,))
                if end.done():
                    return
                yield entry.result()
        finally:
            end.cancel()
