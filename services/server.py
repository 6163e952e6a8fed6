"""What the gRPC services share: one grpc.aio server with health, reflection, bounds, errors and a graceful end.

Rules:
- Health (grpc.health.v1) knows the service by its full name and as ""; while draining both are NOT_SERVING.
- Reflection answers as v1 and as v1alpha: new grpcurl asks for v1 first, old clients know v1alpha alone.
- A call that fails says so as google.rpc.Status (services/status.py); what nobody expected is logged, never told.
- No more than `calls_max` calls of the contract at once; health and reflection answer even then.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from observability.telemetry import Tracing
from services import process, reflection
from services.address import Address, claimed, released
from services.process import Options, Places
from services.rules import InvalidArgument
from services.status import Status, status_of

METADATA_BYTES_MAX: Final = (
    98_304  # the edge takes 60 KiB of headers and adds its own, x-envoy-original-path as long as the URL
)
MESSAGE_BYTES_MAX: Final = (
    65_536  # a name of 10 kB is told what is wrong with it; a message of a megabyte is not even read
)
OTHER_CALLS_MAX: Final = 1_024  # of health and reflection
# how long gRPC itself waits for calls in flight; the process decides sooner. Were the two to run out at the same moment,
# gRPC (1.85) would crash: the end of its own grace and stop(None) get in each other's way.
GRPC_GRACE_SECONDS: Final = 3_600.0
TRAILERS_SECONDS: Final = 0.2  # for those of the last call to leave

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_UNREADABLE: Final = object()  # stands for a request that is no message

# in quotes: they are generic in the stubs alone
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class GrpcServer:
    """One service of the contract on one address."""

    def __init__(self, server: grpc.aio.Server, health_of: Any, places: Places, address: Address) -> None:
        self._server = server
        self._health = health_of
        self.address = address
        self.places = places

    async def drain(self) -> None:
        # not awaited: a client that watches health and does not read must not hold the end up
        told = asyncio.create_task(self._health.enter_graceful_shutdown())
        stopped = asyncio.create_task(self._server.stop(GRPC_GRACE_SECONDS))
        # a watch of health or a look at reflection has no end of its own: only calls of the contract are waited for
        await self.places.empty()
        await asyncio.wait({told, stopped}, timeout=TRAILERS_SECONDS)

    async def end(self) -> None:
        await self._server.stop(None)
        released(self.address)


async def started(
    service: ServiceDescriptor,
    add: Callable[[grpc.aio.Server], None],
    options: Options,
    traces: Tracing | None,
    *,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
) -> GrpcServer:
    """A server that answers `service`, which `add` registers. Raises: AddressUnusable."""
    claimed(options.listen)
    places = Places(options.calls_max)
    server = grpc.aio.server(
        interceptors=_interceptors(Guard(service.full_name, places), traces),
        options=_channel_options(options.calls_max, message_bytes_max),
        maximum_concurrent_rpcs=options.calls_max + OTHER_CALLS_MAX,
    )
    add(server)
    health_of = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(health_of, server)  # type: ignore[no-untyped-call]
    reflection.add([service.full_name, health.SERVICE_NAME], server)
    port = server.add_insecure_port(str(options.listen))
    await server.start()
    await health_of.set(service.full_name, health_pb2.HealthCheckResponse.SERVING)
    address = options.listen if options.listen.path else Address(options.listen.host, port)
    return GrpcServer(server, health_of, places, address)


def _interceptors(guard: "Guard", traces: Tracing | None) -> list[grpc.aio.ServerInterceptor]:
    if traces is None:
        return [guard]
    from observability.grpc_spans import GrpcSpans

    return [GrpcSpans(traces.tracer), guard]  # spans see what the guard makes of an error


class Guard(grpc.aio.ServerInterceptor):
    """Bounds and errors of the calls of one service; every other passes untouched. Must be the innermost interceptor."""

    def __init__(self, service: str, places: Places) -> None:
        self._prefix = f"/{service}/"
        self._places = places
        self._guarded: dict[str, Handler] = {}  # by method: wrapped once, not with each call

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method
        known = self._guarded.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or not method.startswith(self._prefix):
            return handler
        self._guarded[method] = guarded = self._wrapped(handler)
        return guarded

    def _wrapped(self, handler: Handler) -> Handler:
        read = _reader(handler.request_deserializer)
        if handler.response_streaming:
            stream = self._stream(handler.unary_stream)
            return grpc.unary_stream_rpc_method_handler(stream, read, handler.response_serializer)
        unary = self._unary(handler.unary_unary)
        return grpc.unary_unary_rpc_method_handler(unary, read, handler.response_serializer)

    def _unary(self, behaviour: Any) -> Any:
        async def answer(request: Any, context: Context) -> Any:
            try:
                with self._places:
                    return await behaviour(_readable(request), context)
            except Exception as error:
                await tell(error, context)

        return answer

    def _stream(self, behaviour: Any) -> Any:
        async def answers(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                with self._places:
                    async for reply in behaviour(_readable(request), context):
                        yield reply
            except Exception as error:
                await tell(error, context)

        return answers


async def tell(error: Exception, context: Context) -> None:
    """End the call with what its caller may know of `error`."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    status = status_of(error)
    if status.code == grpc.StatusCode.INTERNAL.value[0]:
        logging.getLogger(__name__).error("a call failed", exc_info=error)
    await context.abort(_CODES[status.code], status.message, as_trailers(status))


def as_trailers(status: Status) -> tuple[tuple[str, bytes], ...]:
    """google.rpc.Status as grpc-status-details-bin; none where it would say no more than code and message do."""
    if status.violation is None:
        return ()
    violation = status.violation
    details = error_details_pb2.BadRequest()
    details.field_violations.add(field=violation.field, description=violation.description, reason=violation.reason)
    message = status_pb2.Status(code=status.code, message=status.message)
    message.details.add().Pack(details)
    return (("grpc-status-details-bin", message.SerializeToString()),)


def main(
    name: str,
    default_listen: str,
    service: ServiceDescriptor,
    add: Callable[[grpc.aio.Server], None],
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
) -> int:
    """Serve `service`, which `add` registers, until a signal; the exit status."""

    def start(options: Options, traces: Tracing | None) -> Awaitable[GrpcServer]:
        return started(service, add, options, traces, message_bytes_max=message_bytes_max)

    return process.main(name, default_listen, start, argv, environ)


def _reader(deserialize: Any) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:  # left to itself gRPC answers UNKNOWN and tells the exception
            return _UNREADABLE

    return read


def _readable(request: Any) -> Any:
    if request is _UNREADABLE:
        raise InvalidArgument("", "NOT_A_MESSAGE", "the request is not the message of this method; text is UTF-8")
    return request


def _channel_options(calls_max: int, message_bytes_max: int) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # else two servers share one port without a word
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
        # calls that the core holds until Python takes them; its default of 1,000 answers CANCELLED at 1,600 clients
        ("grpc.server.max_pending_requests", calls_max),
        ("grpc.server.max_pending_requests_hard_limit", 2 * calls_max),
    ]
