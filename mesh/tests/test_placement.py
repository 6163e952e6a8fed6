"""Placing a topology file on a laptop: which ports, which commands, where spans go."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.commands import ApplyTopology
from mesh.decide import decide
from mesh.errors import InvalidTopology, MeshError, SubstrateError
from mesh.events import Declaration, DeclaredService, Edge, Identity, Limits, Route, Telemetry, Workload
from mesh.substrates.laptop.placement import commands, place, sink_addresses
from mesh.topology import Topology, evolved
from mesh.topology_file import (
    LaptopServiceTable,
    LaptopTable,
    OnTable,
    RouteTable,
    ServiceTable,
    TopologyFile,
    VersionTable,
    read_topology_file,
)

DEFAULT = read_topology_file(Path(__file__).parents[2] / "manifests" / "topology.toml")
CONTRACTS = {"pspd": b"descriptors"}


def placed(
    file: TopologyFile = DEFAULT, port_offset: int = 0, environment: Mapping[str, str] | None = None
) -> Declaration:
    return place(file, CONTRACTS, port_offset=port_offset, environment=environment or {})


def http(*versions: tuple[str, int], **said: object) -> ServiceTable:
    return ServiceTable("http", {name: VersionTable(replicas) for name, replicas in versions}, **said)  # type: ignore[arg-type]


def file_of(services: dict[str, ServiceTable], first_ports: dict[str, int], **laptop: object) -> TopologyFile:
    tables = {name: LaptopServiceTable(("run", "{listen}"), port) for name, port in first_ports.items()}
    return TopologyFile(services=services, on=OnTable(LaptopTable(tables, **laptop)))  # type: ignore[arg-type]


def addresses(declaration: Declaration) -> dict[str, str]:
    return {id_: workload.address for id_, workload in declaration.workloads.items()}


def test_the_default_file_gives_a_mesh_that_makes_sense() -> None:
    declaration = placed()
    topology = evolved(decide(Topology(), ApplyTopology(declaration)))
    assert topology.services["a"].shares() == {"v1": 100, "v2": 0}
    assert topology.workloads()["a-v2-1"] == Workload("a-v2-1", "a", "v2", "127.0.0.1:15110", "unix:app.sock")
    assert decide(topology, ApplyTopology(placed())) == []


def test_replicas_and_versions_get_ports_by_their_number() -> None:
    file = file_of({"a": http(("v1", 3), ("v2", 1))}, {"a": 15100})
    assert addresses(placed(file)) == {
        "a-v1-1": "127.0.0.1:15100",
        "a-v1-2": "127.0.0.1:15101",
        "a-v1-3": "127.0.0.1:15102",
        "a-v2-1": "127.0.0.1:15110",
    }


def test_the_ports_of_a_service_do_not_move_when_another_one_changes_its_replicas() -> None:
    few = file_of({"a": http(("v1", 1)), "b": http(("v1", 2))}, {"a": 15100, "b": 15200})
    many = file_of({"a": http(("v1", 10), ("v2", 10)), "b": http(("v1", 2))}, {"a": 15100, "b": 15200})
    gone = file_of({"b": http(("v1", 2))}, {"b": 15200})
    for file in (few, many, gone):
        assert addresses(placed(file)).items() >= {"b-v1-1": "127.0.0.1:15200", "b-v1-2": "127.0.0.1:15201"}.items()


def test_the_offset_moves_every_port() -> None:
    here, there = placed(), placed(port_offset=1000)
    assert there.edge == Edge(grpc_port=9080, rest_port=9081, admin_port=10901)
    assert there.telemetry.endpoint == "http://127.0.0.1:5317"
    assert there.telemetry.trace_url == "http://localhost:5318/trace/{trace_id}"
    assert not set(addresses(here).values()) & set(addresses(there).values())


def test_a_version_at_rest_has_no_workloads_and_keeps_the_ports_of_the_next_one() -> None:
    assert addresses(placed(file_of({"a": http(("v1", 0), ("v2", 1))}, {"a": 15100}))) == {"a-v2-1": "127.0.0.1:15110"}


def test_weights_name_every_version_as_after_a_shift_and_none_are_made_up() -> None:
    versions = (("v1", 1), ("v2", 1))
    said = file_of({"a": http(*versions, weights={"v2": 100})}, {"a": 15100})
    assert placed(said).services["a"].weights == {"v1": 0, "v2": 100}
    assert placed(file_of({"a": http(*versions)}, {"a": 15100})).services["a"].weights == {}


def test_a_route_is_named_for_its_service_and_the_end_of_its_path_unless_it_has_a_name() -> None:
    routes = (RouteTable("/x/hello"), RouteTable("/x/bye/", method="POST", streams=True), RouteTable("/y", name="mine"))
    declared = placed(file_of({"a": http(("v1", 1), routes=routes)}, {"a": 15100})).services["a"]
    assert declared == DeclaredService(
        "http",
        routes=(
            Route("a.hello", "GET", "/x/hello", 15.0),
            Route("a.bye", "POST", "/x/bye/", 15.0, streams=True),
            Route("mine", "GET", "/y", 15.0),
        ),
    )


def test_what_is_said_of_the_laptop_goes_before_what_is_said_of_every_place() -> None:
    parts = {
        "edge": {"grpc_port": 9090},
        "limits": {"connections": 10},
        "telemetry": {"sampling_percent": 1.0},
        "identity": {"certificate_lifetime_seconds": 60},
    }
    declaration = placed(
        replace(file_of({}, {}, **parts), edge=Edge(rest_port=9091), limits=Limits(request_headers_kib=1))
    )
    assert declaration.edge == Edge(grpc_port=9090, rest_port=9091)
    assert declaration.limits == Limits(request_headers_kib=1, connections=10)
    assert declaration.telemetry.sampling_percent == 1.0
    assert declaration.identity == Identity(certificate_lifetime_seconds=60)


@pytest.mark.parametrize(
    ("file", "port_offset", "error", "saying"),
    [
        (DEFAULT, -1, SubstrateError, "the port offset is -1; it must be 0 or more"),
        (DEFAULT, 55_000, SubstrateError, "workload a-v1-1 would get port 70100"),
        (file_of({}, {}), 60_000, SubstrateError, "grpc_port of the edge would get port 68080"),
        (file_of({"a": http(("v1", 2))}, {"a": 65_535}), 0, SubstrateError, "workload a-v1-2 would get port 65536"),
        (file_of({"a": http(("v1", 1))}, {}), 0, SubstrateError, "add [on.laptop.services.a] with a command"),
        (file_of({"a": http(("v1", 1))}, {"a": 4318}), 0, SubstrateError, "workload a-v1-1 would take 127.0.0.1:4318"),
        (
            file_of({"a": http(("b-c", 1)), "a-b": http(("c", 1))}, {"a": 15100, "a-b": 15200}),
            0,
            InvalidTopology,
            "a and a-b would both have a workload a-b-c-1",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_placed_is_refused_by_name(
    file: TopologyFile, port_offset: int, error: type[MeshError], saying: str
) -> None:
    with pytest.raises(error) as refusal:
        placed(file, port_offset)
    assert saying in str(refusal.value)


# commands


def with_command(*command: str) -> TopologyFile:
    return TopologyFile(
        services={"a": http(("v1", 1))}, on=OnTable(LaptopTable({"a": LaptopServiceTable(command, 15100)}))
    )


def test_a_command_is_a_template_that_is_filled_in_when_a_workload_starts() -> None:
    template = commands(with_command("{python}", "-m", "services.a", "--json={{}}", "{listen}"))["a"]
    filled = [part.format(python="/usr/bin/python", listen="unix:app.sock") for part in template]
    assert filled == ["/usr/bin/python", "-m", "services.a", "--json={}", "unix:app.sock"]


@pytest.mark.parametrize(
    ("command", "saying"),
    [
        ((), "[on.laptop.services.a] command is empty"),
        (("{port}",), "has {port} in '{port}'; only {python} and {listen} are filled in"),
        (("{}",), "has {} in '{}'"),
        (("{listen.x}",), "has {listen.x}"),
        (("{listen",), "a brace that is meant is written twice"),
    ],
)
def test_a_command_that_cannot_be_filled_in_is_refused(command: tuple[str, ...], saying: str) -> None:
    with pytest.raises(SubstrateError) as refusal:
        commands(with_command(*command))
    assert saying in str(refusal.value)


# telemetry

JAEGER = Telemetry("http://jaeger:4317", trace_url="http://jaeger:16686/trace/{trace_id}")


def test_without_a_collector_spans_go_to_our_own_sink() -> None:
    assert placed().telemetry == Telemetry("http://127.0.0.1:4317", trace_url="http://localhost:4318/trace/{trace_id}")
    assert sink_addresses(DEFAULT, port_offset=1, environment={}) == ("127.0.0.1:4318", "127.0.0.1:4319")


def test_a_collector_in_the_file_is_where_spans_go() -> None:
    file = replace(DEFAULT, telemetry=JAEGER)
    assert placed(file, port_offset=1000).telemetry == JAEGER
    assert sink_addresses(file, environment={}) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4317"}, Telemetry("http://jaeger:4317")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4317/"}, Telemetry("http://jaeger:4317")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "jaeger:4317"}, Telemetry("http://jaeger:4317")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://y:2"}, Telemetry("http://y:2")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, Telemetry("http://x:4318", "http/protobuf")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, Telemetry("http://x:4318")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:80/otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, Telemetry("http://x:80/otlp", "http/protobuf")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:80/otlp"}, Telemetry("http://x:80/otlp", "http/protobuf")),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318/v1/traces"}, Telemetry("http://x:4318", "http/protobuf")),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:80/otlp/v1/traces", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            Telemetry("http://x:80/otlp", "http/protobuf"),
        ),
    ],
)  # fmt: skip
def test_the_standard_variables_say_where_spans_go(environment: dict[str, str], expected: Telemetry) -> None:
    assert placed(environment=environment).telemetry == expected
    assert sink_addresses(DEFAULT, environment=environment) is None


def test_a_variable_goes_before_the_file_and_the_file_still_says_where_to_look() -> None:
    telemetry = placed(
        replace(DEFAULT, telemetry=JAEGER), environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:1"}
    ).telemetry
    assert telemetry == replace(JAEGER, endpoint="http://x:1")


@pytest.mark.parametrize(
    ("environment", "percent"),
    [
        ({}, 50.0),
        ({"OTEL_TRACES_SAMPLER": ""}, 50.0),
        ({"OTEL_TRACES_SAMPLER_ARG": "0.25"}, 50.0),  # an argument of no sampler
        ({"OTEL_TRACES_SAMPLER": "always_on"}, 100.0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, 0.0),
        ({"OTEL_TRACES_SAMPLER": "traceidratio"}, 100.0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, 25.0),
    ],
)
def test_the_standard_variables_say_how_many_calls_are_traced(environment: dict[str, str], percent: float) -> None:
    file = replace(DEFAULT, telemetry=Telemetry(sampling_percent=50.0))
    assert placed(file, environment=environment).telemetry.sampling_percent == percent


@pytest.mark.parametrize(
    ("environment", "saying"),
    [
        ({"OTEL_TRACES_SAMPLER": "xray"}, "OTEL_TRACES_SAMPLER is 'xray', which Envoy cannot do"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "25"}, "it must be a share from 0 to 1"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"}, "OTEL_TRACES_SAMPLER_ARG is 'half'"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"}, "OTEL_TRACES_SAMPLER_ARG is 'nan'"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318/spans"}, "only be sent to an address that ends in /v1/traces"),
    ],
)  # fmt: skip
def test_a_variable_that_makes_no_sense_is_named(environment: dict[str, str], saying: str) -> None:
    with pytest.raises(SubstrateError) as refusal:
        placed(environment=environment)
    assert saying in str(refusal.value)
