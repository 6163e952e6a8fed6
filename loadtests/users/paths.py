"""Locust's users, one class a path. What they do is in journeys.py, when in arrivals.py, how in clients/.

Rules: a user is one client with one connection; every call carries a W3C trace context, sampled for as many as the options
say, so that what the mesh samples by itself makes no difference to what is measured.
"""

import random
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

import gevent
from locust import User, task
from locust.exception import StopUser

from loadtests.users.arrivals import ClosedLoop, OpenLoop
from loadtests.users.clients import CallFailed, Client
from loadtests.users.clients.http1 import Http1Client
from loadtests.users.journeys import SERVICES, Call, journey
from loadtests.users.options import cell_of

SPREAD_SECONDS = 0.5  # over which users that were spawned at once make their first call
AFTER_FAILURE_SECONDS = 0.1  # a server that is away must not be asked a hundred thousand times


class PathUser(User):  # type: ignore[misc] # Locust's classes are untyped here
    """Walks one path. `host` is where that path begins; of the direct ones, where each service is, with commas."""

    abstract = True
    path: ClassVar[str] = ""

    def on_start(self) -> None:
        options = self.environment.parsed_options
        cell = cell_of(self.path, options)
        try:
            self.calls = journey(cell)
            self.client = self.connected(cell, options)
        except ValueError as error:
            raise StopUser(str(error)) from error
        self.sampled = options.sampled_percent / 100
        now = time.perf_counter
        if cell.rate:
            self.arrivals: OpenLoop | ClosedLoop = OpenLoop(cell.rate, now, gevent.sleep)
        else:
            gevent.sleep(random.random() * SPREAD_SECONDS)
            self.arrivals = ClosedLoop(now)

    def on_stop(self) -> None:
        if hasattr(self, "client"):
            self.client.close()

    def connected(self, cell: Any, options: Any) -> Client:
        """A client of this path."""
        host, port = address(self.host)
        if cell.http == "2":
            from loadtests.users.clients.http2 import Http2Client

            return Http2Client(host, port, timeout_seconds=options.timeout_seconds, reuse=cell.reuse)
        return Http1Client(host, port, timeout_seconds=options.timeout_seconds, reuse=cell.reuse)

    @task  # type: ignore[untyped-decorator]
    def journey(self) -> None:
        for call in self.calls:
            self._make(call)

    def _make(self, call: Call) -> None:
        context: dict[str, Any] = {}
        traceparent = self._traceparent(context)
        due = self.arrivals.next()
        if context:
            context["begun_ns"] = time.time_ns()
        failure, received = None, 0
        try:
            received = self.client.call(call, traceparent)
        except CallFailed as error:
            failure = error
        self.environment.events.request.fire(
            request_type=call.method,
            name=call.route,
            response_time=(time.perf_counter() - due) * 1000,
            response_length=received,
            exception=failure,
            context=context,
        )
        if failure:
            gevent.sleep(AFTER_FAILURE_SECONDS)

    def _traceparent(self, context: dict[str, Any]) -> str:
        """A new trace context; a sampled one is put into `context`, by which its latency is kept."""
        trace_id = f"{random.getrandbits(128) or 1:032x}"
        sampled = random.random() < self.sampled
        if sampled:
            context["trace_id"] = trace_id
        return f"00-{trace_id}-{random.getrandbits(64) or 1:016x}-0{sampled:d}"


class GrpcPathUser(PathUser):
    """JSON over HTTP, transcoded to gRPC at the edge."""

    path = "grpc"
    host = "http://localhost:8080"
    weight = 1_000_000  # where nobody chose a class, Locust spreads users over all: so all of them are these


class RestPathUser(PathUser):
    """JSON over HTTP all the way, to the Sanic twins."""

    path = "rest"
    host = "http://localhost:8081"


class NativeGrpcUser(PathUser):
    """gRPC from the client on, through edge and sidecar."""

    path = "native"
    host = "http://localhost:8080"

    def connected(self, cell: Any, options: Any) -> Client:
        from loadtests.users.clients.native import NativeClient

        hosts = {service: place for service, (_, place) in places(self.host).items()}
        return NativeClient(hosts, timeout_seconds=options.timeout_seconds, reuse=cell.reuse)


class DirectGrpcUser(NativeGrpcUser):
    """gRPC straight to the services, without any Envoy."""

    path = "direct-grpc"
    host = "http://localhost:50051,http://localhost:50052,http://localhost:50053"


class DirectRestUser(PathUser):
    """JSON straight to the Sanic twins, without any Envoy."""

    path = "direct-rest"
    host = "http://localhost:50061,http://localhost:50062,http://localhost:50063"

    def connected(self, cell: Any, options: Any) -> Client:
        return _EachItsOwn(
            {
                service: Http1Client(*where, timeout_seconds=options.timeout_seconds, reuse=cell.reuse)
                for service, (where, _) in places(self.host).items()
            }
        )


class ReferenceGrpcUser(PathUser):
    """The original report's system, gRPC behind its Node gateway (loadtests/reference)."""

    path = "reference-grpc"
    host = "http://localhost:18080"


class ReferenceRestUser(PathUser):
    """The original report's system, FastAPI behind its Node gateway (loadtests/reference)."""

    path = "reference-rest"
    host = "http://localhost:18081"


USERS: dict[str, type[PathUser]] = {
    user.path: user
    for user in (
        GrpcPathUser,
        RestPathUser,
        NativeGrpcUser,
        DirectGrpcUser,
        DirectRestUser,
        ReferenceGrpcUser,
        ReferenceRestUser,
    )
}


class _EachItsOwn:
    """A client for each service."""

    def __init__(self, clients: dict[str, Http1Client]) -> None:
        self._clients = clients

    def call(self, call: Call, traceparent: str) -> int:
        return self._clients[SERVICES[call.route]].call(call, traceparent)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def address(host: str | None) -> tuple[str, int]:
    """Host name and port of a URL. Raises: ValueError."""
    url = urlsplit(host or "")
    if url.scheme != "http" or not url.hostname:
        raise ValueError(f"the host is {host!r}; it must be like http://localhost:8080")
    return url.hostname, url.port or 80


def places(host: str | None) -> dict[str, tuple[tuple[str, int], str]]:
    """Service -> its address, as a pair and as text: of one URL for all, or of one for each.

    Raises: ValueError.
    """
    given = [address(url.strip()) for url in (host or "").split(",")]
    everywhere = given if len(given) > 1 else given * len(SERVICES)
    return {
        service: (where, f"{where[0]}:{where[1]}")
        for service, where in zip(SERVICES.values(), everywhere, strict=False)
    }
