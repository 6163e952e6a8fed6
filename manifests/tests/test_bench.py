"""manifests/bench.toml is the default topology but for what it says at its top: else figures would tell of another mesh."""

from dataclasses import replace
from pathlib import Path

from mesh.events import Telemetry
from mesh.topology_file import VersionTable, read_topology_file

MANIFESTS = Path(__file__).parents[1]
DEFAULT = read_topology_file(MANIFESTS / "topology.toml")
BENCH = read_topology_file(MANIFESTS / "bench.toml")
ECHO = {"echo", "echo-rest"}


def test_edge_limits_identity_and_the_contract_are_those_of_the_default() -> None:
    assert (BENCH.edge, BENCH.limits, BENCH.identity) == (DEFAULT.edge, DEFAULT.limits, DEFAULT.identity)
    assert BENCH.contracts["pspd"] == DEFAULT.contracts["pspd"]
    assert BENCH.contracts.keys() == {"pspd", "echo"}


def test_one_call_in_a_hundred_is_traced() -> None:
    assert BENCH.telemetry == replace(DEFAULT.telemetry, sampling_percent=1.0)
    assert BENCH.telemetry != Telemetry()


def test_services_are_those_of_the_default_with_one_workload_each() -> None:
    for name, service in DEFAULT.services.items():
        assert BENCH.services[name] == replace(service, versions={"v1": VersionTable(1)}, weights={})
        assert BENCH.on.laptop.services[name] == DEFAULT.on.laptop.services[name]
    assert BENCH.services.keys() == DEFAULT.services.keys() | ECHO


def test_echo_is_in_no_other_topology_and_its_twins_have_the_same_routes() -> None:
    assert not ECHO & DEFAULT.services.keys()
    assert BENCH.services["echo"].routes == BENCH.services["echo-rest"].routes
    assert [(route.method, route.retries) for route in BENCH.services["echo"].routes] == [("POST", 0)]
