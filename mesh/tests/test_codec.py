"""What the codec promises: whatever was written can be read, by this meshlog and by every later one."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.commands import ApplyTopology, Command, ShiftTraffic
from mesh.errors import Refused, UnreadableEvent
from mesh.events import (
    BenchmarkBegun,
    BenchmarkEnded,
    CallAnswered,
    CallFinished,
    CallsLost,
    ContractPublished,
    ContractWithdrawn,
    Declaration,
    DeclaredService,
    Edge,
    EdgeOpened,
    Event,
    FaultCleared,
    FaultInjected,
    Identity,
    IdentityGoverned,
    Limits,
    LimitsSet,
    Route,
    RoutesPublished,
    ServiceDeclared,
    ServiceRetired,
    SnapshotAccepted,
    SnapshotRejected,
    StreamEnded,
    Telemetry,
    TelemetryPointed,
    TopologyApplied,
    TrafficShifted,
    Workload,
    WorkloadJoined,
    WorkloadLeft,
)
from mesh.log.codec import decode, decode_command, decode_event, encode, encode_command, event_to_plain
from mesh.log.port import Commit
from mesh.tests.commits import COMMITS, commit, values

SAMPLES = Path(__file__).parent / "samples" / "events.hex"
ROUTE = Route("b.numbers", "GET", "/b/numbers", 330.0, retries=2, streams=True)
WORKLOAD = Workload("a-v1-1", "a", "v1", "127.0.0.1:15100", "unix:app.sock")
EDGE = Edge("edge", "127.0.0.1", 8080, 8081, 9901, "pspd.local", "pspd-rest.local", ("https://pspd.local",))
UNJOURNALED = replace(EDGE, journal=False)
LIMITS = Limits(60, 100, 1_048_576, 10.0, 30.0, 330.0, 300.0, 8_192, 256, 8_192, 8_192)
TELEMETRY = Telemetry("http://127.0.0.1:4317", "grpc", 12.5, "http://localhost:16686/trace/{trace_id}")
IDENTITY = Identity("pspd.local", 86_400)
DECLARED = DeclaredService("grpc", "pspd", ("pspd.ServiceB",), (ROUTE,), {"v1": 90, "v2": 10})

# What the lines of the samples say, in their order. A line is never changed or taken away. A new type or a new shape of an
# old one gets a new line: `encode(sample(event)).hex()`.
RECORDED: tuple[Event, ...] = (
    ContractPublished("pspd", b"\x00\xff descriptor set"),
    ContractWithdrawn("pspd"),
    ServiceDeclared("b", "grpc", "pspd", ("pspd.ServiceB",)),
    ServiceRetired("b"),
    RoutesPublished("b", (ROUTE,)),
    WorkloadJoined(WORKLOAD),
    WorkloadLeft("a-v1-1", "a"),
    TrafficShifted("a", {"v1": 90, "v2": 10}),
    EdgeOpened(EDGE),
    LimitsSet(LIMITS),
    TelemetryPointed(TELEMETRY),
    IdentityGoverned(IDENTITY),
    TopologyApplied(
        Declaration({"pspd": b"\x00\xff"}, {"b": DECLARED}, {"a-v1-1": WORKLOAD}, EDGE, LIMITS, TELEMETRY, IDENTITY)
    ),
    SnapshotAccepted("edge", 7, "5f" * 32, "1"),
    SnapshotRejected("edge", 8, "type.googleapis.com/envoy.config.listener.v3.Listener", "no filter 'x'", "1"),
    CallAnswered(
        *("4bf9", "0af7651916cd43dd8448eb211c80319c", 7, "grpc", "POST", "/a/hello?name=José", "a", "v1", 200, 0),
        *(1_700_000_000_000_000, 1_700_000_000_002_000, True, {"accept": "application/json"}, b"\x00\xff", 70_000),
    ),
    StreamEnded("4bf9", "0af7651916cd43dd8448eb211c80319c", 7, None, 10, 120, 1_700_000_000_060_000),
    CallFinished("4bf9", "127.0.0.1:15100", "DC", "downstream_remote_disconnect", 120, 1, 60_000, 2_000),
    CallsLost(1_700_000_000_000_000, 1_700_000_001_000_000, 3, "disk full"),
    EdgeOpened(UNJOURNALED),  # since an edge may be without a journal
    TopologyApplied(
        Declaration(
            *({"pspd": b"\x00\xff"}, {"b": DECLARED}, {"a-v1-1": WORKLOAD}, UNJOURNALED, LIMITS, TELEMETRY, IDENTITY)
        )
    ),
    FaultInjected("a-v1-1", 2.5, 50.0),
    FaultCleared("a-v1-1"),
    BenchmarkBegun(
        *("r1", "quick", 1_700_000_000_000_000, 7, "abc123", "0.1.0", {"cpu": "2 cores"}, {"users": "25"}, 8, 10)
    ),
    BenchmarkEnded("r1", "finished", 1_700_000_060_000_000, 79, 1, ("REST is faster for A",), "runs/r1"),
)


def sample(event: Event) -> Commit:
    return Commit("commit-1", "command-1", "someone", "because", 1_700_000_000_000_000, (event,))


def test_every_recorded_shape_is_still_read_as_what_it_meant() -> None:
    recorded = [decode(bytes.fromhex(line)) for line in SAMPLES.read_text().split()]
    assert recorded == [sample(event) for event in RECORDED]


def test_every_type_of_event_has_a_recorded_sample() -> None:
    assert {type(event) for event in RECORDED} == set(get_args(Event))


def test_the_newest_samples_are_what_is_written_today() -> None:
    newest = {type(event): line for event, line in zip(RECORDED, SAMPLES.read_text().split(), strict=True)}
    for event in {type(event): event for event in RECORDED}.values():
        assert encode(sample(event)).hex() == newest[type(event)], f"{type(event).__name__} has a new shape: record it"


@given(COMMITS)
@settings(max_examples=150, deadline=None)
def test_what_was_encoded_is_decoded_to_the_same(written: Commit) -> None:
    assert decode(encode(written)) == written


@given(st.one_of(*map(values, get_args(Event))))
@settings(max_examples=100, deadline=None)
def test_an_event_becomes_a_plain_map_and_back(event: Event) -> None:
    plain = event_to_plain(event)
    assert plain["type"] == type(event).__name__
    assert decode_event(msgpack.packb(plain)) == event


@given(st.one_of(*map(values, get_args(Command))))
@settings(max_examples=50, deadline=None)
def test_a_command_travels_and_comes_back_the_same(command: Command) -> None:
    assert decode_command(encode_command(command)) == command


@given(st.binary(max_size=60) | COMMITS.map(lambda written: encode(written)[:-1]))
@settings(max_examples=150, deadline=None)
def test_bytes_that_are_no_commit_are_unreadable_and_nothing_worse(raw: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        decode(raw)


def test_bytes_stay_bytes_in_the_plain_form() -> None:
    assert event_to_plain(ContractPublished("pspd", b"\x00\xff"))["descriptor_set"] == b"\x00\xff"


def test_a_field_that_an_old_record_lacks_has_its_default() -> None:
    old = {"type": "ServiceDeclared", "service": "a", "protocol": "http"}
    assert decode_event(msgpack.packb(old)) == ServiceDeclared("a", "http", contract="", grpc_services=())


def test_a_field_that_this_meshlog_does_not_know_is_ignored() -> None:
    newer = {"type": "ServiceRetired", "service": "a", "mourned_by": ["b"]}
    assert decode_event(msgpack.packb(newer)) == ServiceRetired("a")


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({"type": "TeaServed", "cups": 2}, "no event is of type 'TeaServed' here; was it written by a newer meshlog?"),
        (
            {"type": "TrafficShifted", "service": "a"},
            "TrafficShifted has another shape.*missing required field `weights`",
        ),
        (
            {"type": "TrafficShifted", "service": "a", "weights": {"v1": "90"}},
            r"expected `int`, got `str`.*\$\.weights",
        ),
        ({"type": "ServiceRetired", "service": 1}, "expected `str`, got `int`"),
        ({"service": "a"}, "this event has no type"),
        ([1, 2], "this event has no type"),
    ],
)
def test_an_event_that_cannot_be_read_is_refused_with_what_is_wrong(plain: Any, said: str) -> None:
    with pytest.raises(UnreadableEvent, match=said):
        decode_event(msgpack.packb(plain))


def test_a_commit_without_its_envelope_is_unreadable() -> None:
    with pytest.raises(UnreadableEvent, match="missing required field `id`"):
        decode(msgpack.packb({"events": []}))


def test_a_command_of_another_meshlog_is_unreadable() -> None:
    with pytest.raises(UnreadableEvent, match="no command is of type 'BrewTea' here"):
        decode_command(msgpack.packb({"type": "BrewTea"}))


@pytest.mark.parametrize("weight", [2**64, -(2**63) - 1])
def test_a_number_that_nobody_could_read_is_not_written(weight: int) -> None:
    with pytest.raises(Refused, match="ShiftTraffic cannot be sent"):
        encode_command(ShiftTraffic("a", {"v1": weight}))
    with pytest.raises(UnreadableEvent, match="cannot be written"):
        encode(commit("c", TrafficShifted("a", {"v1": weight})))


def test_text_that_is_not_unicode_is_not_written() -> None:
    with pytest.raises(UnreadableEvent, match="cannot be written"):
        encode(commit("c", ServiceRetired("\udcff")))


def test_a_whole_declaration_fits_into_a_command() -> None:
    declaration = Declaration(contracts={"pspd": b"\x00" * 200_000})
    assert decode_command(encode_command(ApplyTopology(declaration))) == ApplyTopology(declaration)
