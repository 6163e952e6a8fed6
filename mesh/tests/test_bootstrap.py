"""Envoy accepts the bootstrap, and the file says what it must."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mesh.events import Edge
from mesh.identity import Authority
from mesh.spiffe import spiffe_id
from mesh.substrates.laptop.specs import envoy_binary
from mesh.topology import Topology
from mesh.xds.bootstrap import bootstrap_json

TOPOLOGY = Topology(edge=Edge(admin_port=21_499))


def read(node_id: str, admin_port: int | None) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(bootstrap_json(node_id, TOPOLOGY, admin_port=admin_port))
    return parsed


@pytest.mark.parametrize(("node_id", "admin_port"), [("edge", 21_499), ("sidecar-a-v1-1", None)])
def test_envoy_accepts_it(tmp_path: Path, node_id: str, admin_port: int | None) -> None:
    directory = tmp_path / "identity"
    Authority.open(tmp_path / "ca").issue(spiffe_id("pspd.local", "edge"), directory, lifetime_seconds=60)
    (tmp_path / "bootstrap.json").write_text(bootstrap_json(node_id, TOPOLOGY, admin_port=admin_port))
    command = [str(envoy_binary()), "--mode", "validate", "-c", "bootstrap.json", "-l", "error"]
    validated = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert validated.returncode == 0, validated.stderr


def test_the_same_node_gets_the_same_file() -> None:
    assert bootstrap_json("edge", TOPOLOGY, admin_port=1) == bootstrap_json("edge", TOPOLOGY, admin_port=1)


def test_every_path_in_it_is_relative_so_that_it_is_the_same_wherever_the_node_runs() -> None:
    assert '"/' not in bootstrap_json("sidecar-a-v1-1", TOPOLOGY)


@pytest.mark.parametrize(("node_id", "admin_port"), [("edge", 9901), ("sidecar-a-v1-1", None)])
def test_the_administration_is_a_socket_for_its_owner_alone(node_id: str, admin_port: int | None) -> None:
    assert read(node_id, admin_port)["admin"]["address"]["pipe"] == {"path": "admin.sock", "mode": 0o600}


def test_the_administration_of_the_edge_can_be_read_on_the_loopback_interface() -> None:
    [listener] = read("edge", 9901)["static_resources"]["listeners"]
    assert listener["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9901}


def test_connections_from_clients_are_limited_and_the_administration_is_not() -> None:
    edge = read("edge", 9901)
    monitors = {m["name"].rpartition(".")[2]: m["typed_config"] for m in edge["overload_manager"]["resource_monitors"]}
    limit = monitors["global_downstream_max_connections"]["max_active_downstream_connections"]
    assert int(limit) == TOPOLOGY.limits.connections
    assert edge["admin"]["ignore_global_conn_limit"]


def test_the_control_plane_must_prove_its_identity() -> None:
    [ads, _] = read("edge", 9901)["static_resources"]["clusters"]
    assert "spiffe://pspd.local/control-plane" in json.dumps(ads["transport_socket"])
