"""A sidecar lets in the edge and nobody else, and sends a workload no more than it can hold."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest

from mesh.errors import InvalidTopology
from mesh.events import Telemetry
from mesh.identity import Authority
from mesh.tests.envoys import Running, apps, listening, running, until
from mesh.tests.plain_mesh import topology
from mesh.topology import Fault, Topology
from mesh.xds.consistency import name_of
from mesh.xds.http import otlp_cluster, rbac_filter
from mesh.xds.messages import unpacked
from mesh.xds.sidecar import APP_CALLS_IN_FLIGHT, sidecar_inputs, sidecar_resources
from mesh.xds.tls import connection_seconds

SIDECAR = "sidecar-w-v1-1"
REFUSED = (
    httpx.TransportError,
    ssl.SSLError,
)  # httpx lets the latter through where the alert comes after the handshake


@contextlib.asynccontextmanager
async def sidecar_alone() -> AsyncIterator[tuple[Running, Topology]]:
    wanted = topology()
    async with running() as mesh, apps(mesh, wanted):
        await mesh.start_control_plane()
        mesh.publish(replace(wanted, edge=None), 1)
        await mesh.start_envoy(SIDECAR, "w", wanted)
        await mesh.acknowledged(1)
        [workload] = wanted.workloads().values()
        await listening(workload.address)
        yield mesh, wanted


def client(identity: Path | None, trusting: Path) -> ssl.SSLContext:
    """TLS as a client that shows what is current in `identity`, and looks at nothing of the server but its authority."""
    context = ssl.create_default_context(cafile=str(trusting / "current/ca.pem"))
    context.check_hostname = False  # SPIFFE ids are no host names
    if identity:
        context.load_cert_chain(identity / "current/cert.pem", identity / "current/key.pem")
    return context


async def ask(wanted: Topology, context: ssl.SSLContext | None) -> httpx.Response:
    [workload] = wanted.workloads().values()
    scheme = "https" if context else "http"
    async with httpx.AsyncClient(verify=context or False) as session:
        return await session.get(f"{scheme}://{workload.address}/w")


async def test_the_edge_is_let_in() -> None:
    async with sidecar_alone() as (mesh, wanted):
        mesh.identify("edge", "edge")
        identity = mesh.directory("edge") / "identity"
        assert (await ask(wanted, client(identity, identity))).text == "v1"


async def test_a_stranger_is_refused_at_the_handshake_and_a_neighbour_with_403() -> None:
    async with sidecar_alone() as (mesh, wanted):
        trusting = mesh.directory(SIDECAR) / "identity"
        other = mesh.run / "other"
        Authority.open(mesh.run / "other-ca").issue("spiffe://test.local/edge", other, lifetime_seconds=60)
        foreign = mesh.run / "foreign"
        mesh.authority.issue("spiffe://elsewhere/edge", foreign, lifetime_seconds=60)
        for refused in (None, other, foreign):
            with pytest.raises(REFUSED):
                await ask(wanted, client(refused, trusting))
        with pytest.raises(REFUSED):
            await ask(wanted, None)  # no TLS at all
        mesh.identify("neighbour", "w")
        answer = await ask(wanted, client(mesh.directory("neighbour") / "identity", trusting))
        assert answer.status_code == 403


async def test_tls_below_1_3_is_refused() -> None:
    async with sidecar_alone() as (mesh, wanted):
        mesh.identify("edge", "edge")
        identity = mesh.directory("edge") / "identity"
        old = client(identity, identity)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(REFUSED):
            await ask(wanted, old)


class Slow(grpc.GenericRpcHandler):
    """A gRPC workload: /w.S/Long streams until it is left, /w.S/Short answers after 50 ms."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if details.method.endswith("Long"):
            return grpc.unary_stream_rpc_method_handler(self._long)
        return grpc.unary_unary_rpc_method_handler(self._short)

    @staticmethod
    async def _long(_: bytes, __: Any) -> AsyncIterator[bytes]:
        while True:
            yield b"."
            await asyncio.sleep(1)

    @staticmethod
    async def _short(_: bytes, __: Any) -> bytes:
        await asyncio.sleep(0.05)
        return b"short"


@contextlib.asynccontextmanager
async def grpc_mesh() -> AsyncIterator[Any]:
    """A channel to the edge, behind which a gRPC workload stands."""
    wanted = topology(protocol="grpc")
    async with running() as mesh:
        server = grpc.aio.server(
            options=[("grpc.max_concurrent_streams", 10_000), ("grpc.server.max_pending_requests", 10_000)]
        )
        server.add_generic_rpc_handlers((Slow(),))
        server.add_insecure_port(f"unix:{mesh.directory(SIDECAR)}/app.sock")
        await server.start()
        assert wanted.edge
        try:
            await mesh.serving(wanted)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{wanted.edge.grpc_port}") as channel:
                yield channel
        finally:
            await server.stop(None)


async def test_300_long_streams_do_not_delay_a_new_short_call() -> None:
    async with grpc_mesh() as channel:
        streams = [channel.unary_stream("/w.S/Long")(b"") for _ in range(300)]
        assert await asyncio.gather(*(stream.read() for stream in streams)) == [b"."] * 300
        assert await asyncio.wait_for(channel.unary_unary("/w.S/Short")(b""), 1.0) == b"short"
        for stream in streams:
            stream.cancel()


async def test_3200_calls_at_once_are_all_answered() -> None:
    async with grpc_mesh() as channel:
        short = channel.unary_unary("/w.S/Short")
        answers = await asyncio.gather(*(short(b"", timeout=30) for _ in range(3_200)))
        assert set(answers) == {b"short"}


def test_long_streams_leave_room_for_short_calls() -> None:
    assert APP_CALLS_IN_FLIGHT >= 300 * 4


def test_a_sidecar_consists_of_a_listener_its_app_and_where_spans_go() -> None:
    built = sidecar_resources(topology(), SIDECAR, 1)
    assert [name_of(resource) for resource in built] == ["app", "otlp", "inbound"]


def test_a_sidecar_of_no_workload_is_refused() -> None:
    with pytest.raises(InvalidTopology, match="beside no workload"):
        sidecar_resources(topology(), "sidecar-nobody", 1)


def test_what_concerns_other_workloads_is_no_input_of_a_sidecar() -> None:
    wanted = topology(("v1", "v2"))
    service = wanted.services["w"]
    other = replace(service, workloads={"w-v1-1": service.workloads["w-v1-1"]}, weights={"v1": 100})
    assert sidecar_inputs(wanted, SIDECAR) == sidecar_inputs(replace(wanted, services={"w": other}), SIDECAR)


def faulted(wanted: Topology, delay_ms: float, percent: float = 100.0) -> Topology:
    return replace(wanted, faults={"w-v1-1": Fault(delay_ms, percent)})


def filters(wanted: Topology) -> list[str]:
    """The names of the HTTP filters of the sidecar, in order."""
    inbound: Any = sidecar_resources(wanted, SIDECAR, 1)[-1]
    return [filter_.name for filter_ in unpacked(inbound.filter_chains[0].filters[0].typed_config).http_filters]


def test_a_sidecar_without_a_fault_has_no_trace_of_one() -> None:
    assert filters(topology()) == ["envoy.filters.http.rbac", "envoy.filters.http.router"]


def test_a_fault_stands_between_who_may_call_and_the_call_itself() -> None:
    assert filters(faulted(topology(), 2)) == ["envoy.filters.http.rbac", "fault", "envoy.filters.http.router"]


def test_a_fault_is_an_input_of_its_own_sidecar_alone() -> None:
    wanted = topology(("v1", "v2"))
    for sidecar, is_same in ((SIDECAR, False), ("sidecar-w-v2-1", True)):
        assert (sidecar_inputs(wanted, sidecar) == sidecar_inputs(faulted(wanted, 2), sidecar)) is is_same


async def seconds_of_each(session: httpx.AsyncClient, url: str, calls: int) -> list[float]:
    took = []
    for _ in range(calls):
        begun = time.perf_counter()
        assert (await session.get(url)).text == "v1"
        took.append(time.perf_counter() - begun)
    return took


@pytest.mark.parametrize("delay_ms", [0.1, 2.5, 60.0])
async def test_a_fault_is_felt_on_old_connections_too_by_every_call_but_one_and_so_is_its_end(
    delay_ms: float,
) -> None:
    async with sidecar_alone() as (mesh, wanted):
        mesh.identify("edge", "edge")
        identity = mesh.directory("edge") / "identity"
        [workload] = wanted.workloads().values()
        url = f"https://{workload.address}/w"
        async with httpx.AsyncClient(verify=client(identity, identity)) as session:
            await seconds_of_each(session, url, 1)
            mesh.publish(replace(faulted(wanted, delay_ms), edge=None), 2)
            await mesh.acknowledged(2)
            await seconds_of_each(session, url, 1)  # on a connection from before, one call may go as before
            assert min(await seconds_of_each(session, url, 20)) >= delay_ms / 1_000
            mesh.publish(replace(wanted, edge=None), 3)
            await mesh.acknowledged(3)
            await seconds_of_each(session, url, 1)
            if delay_ms == 60.0:  # far above what a call takes even on a busy machine
                assert min(await seconds_of_each(session, url, 20)) < delay_ms / 1_000


async def test_a_fault_for_some_of_the_calls_spares_the_others() -> None:
    async with sidecar_alone() as (mesh, wanted):
        mesh.identify("edge", "edge")
        identity = mesh.directory("edge") / "identity"
        [workload] = wanted.workloads().values()
        mesh.publish(replace(faulted(wanted, 60, 50), edge=None), 2)
        await mesh.acknowledged(2)
        async with httpx.AsyncClient(verify=client(identity, identity)) as session:
            took = await seconds_of_each(session, f"https://{workload.address}/w", 60)
        # of 60 fair draws fewer than 10 come out one way once in 30 million times
        assert 10 <= sum(seconds >= 0.060 for seconds in took) <= 50


@pytest.mark.parametrize(
    "telemetry",
    [
        Telemetry(),
        Telemetry("http://127.0.0.1:1"),
        Telemetry("http://[::1]:4318/x", "http/protobuf"),
        Telemetry("http://localhost:4318", "http/protobuf"),
    ],
)
async def test_envoy_accepts_every_way_of_telling_it_where_spans_go(telemetry: Telemetry) -> None:
    wanted = replace(topology(), edge=None, telemetry=telemetry)
    async with running() as mesh:
        await mesh.start_control_plane()
        mesh.publish(wanted, 1)
        await mesh.start_envoy(SIDECAR, "w", wanted)
        await until(lambda: mesh.said, "the sidecar answers")
        assert mesh.said[0][0] == "accepted"


@pytest.mark.parametrize(
    "telemetry", [Telemetry("collector:4317"), Telemetry("http://h:x"), Telemetry("http://h:1", "carrier pigeon")]
)
def test_what_envoy_cannot_speak_to_is_refused(telemetry: Telemetry) -> None:
    with pytest.raises(InvalidTopology):
        otlp_cluster(telemetry)


def test_where_nobody_is_named_nobody_is_let_in() -> None:
    assert b"principal" not in rbac_filter([]).SerializeToString()


@pytest.mark.parametrize(("lifetime_seconds", "seconds"), [(86_400, 3_600), (400, 100), (2, 1)])
def test_connections_end_before_the_certificates_they_were_made_with(lifetime_seconds: int, seconds: int) -> None:
    assert connection_seconds(lifetime_seconds) == seconds
