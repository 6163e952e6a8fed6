"""The topology file: what can be written, and what is said of each way to get it wrong."""

import os
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from mesh.errors import UnreadableFile
from mesh.events import Edge, Limits, Telemetry
from mesh.topology_file import (
    FILE_MAX_BYTES,
    RouteTable,
    ServiceTable,
    TopologyFile,
    VersionTable,
    descriptor_sets,
    read_topology_file,
)

DEFAULT = Path(__file__).parents[2] / "manifests" / "topology.toml"
A = '[services.a]\nprotocol = "http"\n[services.a.versions.v1]\n'


def reading(path: Path, content: str | bytes) -> TopologyFile:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_topology_file(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "topology.toml"


def test_a_file_says_what_differs_from_the_defaults_and_nothing_more(path: Path) -> None:
    file = reading(
        path,
        A
        + "[[services.a.routes]]\npath = '/a/hello'\nretries = 3\n"
        + "[edge]\ngrpc_port = 9090\nallow_origins = ['*']\n[limits]\nrequest_timeout_seconds = 5\n"
        + "[on.laptop.telemetry]\nsampling_percent = 1\n[on.kubernetes]\nwhat = {ever = [1, 'x']}\n",
    )
    assert file.services == {
        "a": ServiceTable("http", {"v1": VersionTable(1)}, routes=(RouteTable("/a/hello", retries=3),))
    }
    assert file.edge == Edge(grpc_port=9090, allow_origins=("*",))
    assert file.limits == Limits(request_timeout_seconds=5.0)
    assert file.telemetry == Telemetry()
    assert file.on.laptop.telemetry == {"sampling_percent": 1.0}
    assert file.on.kubernetes == {"what": {"ever": [1, "x"]}}


@pytest.mark.parametrize("content", ["", "\n# nothing\n", "\ufeff[edge]\n", "[edge]\r\n"])
def test_an_empty_file_a_byte_order_mark_and_the_line_ends_of_windows_are_fine(path: Path, content: str) -> None:
    assert reading(path, content) == TopologyFile()


BAD_FILES: list[tuple[str, str | bytes, str]] = [
    ("misspelt table", "[service.a]\n", "service is not known here; did you mean services?"),
    ("misspelt key", A + "replica = 2\n", "services.a.versions.v1.replica is not known here; did you mean replicas?"),
    (
        "misspelt key in a list",
        A + "[[services.a.routes]]\npath = '/x'\n[[services.a.routes]]\npath = '/y'\ntimeout_second = 1\n",
        "services.a.routes[1].timeout_second is not known here; did you mean timeout_seconds?",
    ),
    ("unknown key", "[limits]\nxyz = 1\n", "limits.xyz is not known here; there are request_headers_kib, "),
    ("misspelt key for the laptop", "[on.laptop.edge]\ngrpcport = 1\n", "on.laptop.edge.grpcport is not known here; did you mean grpc_port?"),
    ("unknown substrate", "[on.laptob]\n", "on.laptob is not known here; did you mean laptop?"),
    ("key that needs quotes", "[services.a]\n'a b' = 1\n", "services.a.'a b' is not known here"),
    ("missing key", "[services.a]\nprotocol = 'http'\n", "services.a.versions is missing"),
    ("missing key in a list", A + "[[services.a.routes]]\nretries = 1\n", "services.a.routes[0].path is missing"),
    ("missing command", A + "[on.laptop.services.a]\nfirst_port = 1\n", "on.laptop.services.a.command is missing"),
    ("text for a number", "[edge]\ngrpc_port = '8080'\n", "edge.grpc_port is '8080': expected a whole number, got text"),
    ("fraction for a whole number", A + "replicas = 1.0\n", "replicas is 1.0: expected a whole number, got a number"),
    ("truth for a number", A + "replicas = true\n", "replicas is True: expected a whole number, got true or false"),
    ("number for text", "[edge]\naddress = 1\n", "edge.address is 1: expected text, got a whole number"),
    ("date for text", "[edge]\naddress = 2020-01-01\n", "expected text, got a date"),
    ("table for a list", A + "[services.a.routes]\npath = '/x'\n", "expected a list, got a table"),
    ("list for a table", "edge = []\n", "edge is []: expected a table, got a list"),
    ("list of the wrong things", A + "[services.b]\ngrpc_services = [1]\n", "services.b.grpc_services[0] is 1: expected text"),
    ("number for a table", "services = 1\n", "services is 1: expected a table, got a whole number"),
    ("number for a table in a table", "[services]\na = 1\n", "services.a is 1: expected a table"),
    ("too many replicas", A + "replicas = 11\n", "services.a.versions.v1.replicas is 11: expected a whole number <= 10"),
    ("negative replicas", A + "replicas = -1\n", "services.a.versions.v1.replicas is -1: expected a whole number >= 0"),
    ("port out of range", A + "[on.laptop.services.a]\ncommand=['x']\nfirst_port=65536\n", "first_port is 65536: expected a whole number <= 65535"),
    ("weight out of range", A + "[services.a.weights]\nv1 = 101\n", "services.a.weights.v1 is 101: expected a whole number <= 100"),
    ("weight of no version", A + "[services.a.weights]\nv2 = 100\n", "services.a.weights.v2 is no version of a; there are v1"),
    ("command of no service", A + "[on.laptop.services.b]\ncommand=['x']\nfirst_port=1\n", "on.laptop.services.b is about no service of this file"),
    ("no TOML", "[edge\n", "is not TOML: Expected ']' at the end of a table declaration (at line 1, column 6)"),
    ("end too early", "[edge]\naddress = [", "(at line 2, the end of the file)"),
    ("key given twice", "[edge]\ngrpc_port = 1\ngrpc_port = 2\n", "is not TOML: Cannot overwrite a value (at line 3"),
    ("a number of ten thousand digits", "x = " + "1" * 10_000, "is not TOML: Exceeds the limit"),
    ("endless nesting", "x = " + "[" * 100_000, "nested too deeply"),
    ("not UTF-8", b"[edge]\naddress = '\xff'\n", "is not TOML: line 2 is not UTF-8"),
    ("a program", b"\x7fELF\x02\x01\x01\x00", "is not TOML: Invalid statement (at line 1, column 1)"),
    ("far too long", b"#" * (FILE_MAX_BYTES + 1), "is over 1024 KiB: that is no topology file"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "saying"), [row[1:] for row in BAD_FILES], ids=[row[0] for row in BAD_FILES])
def test_a_bad_file_is_refused_in_one_sentence_that_says_where(path: Path, content: str | bytes, saying: str) -> None:
    with pytest.raises(UnreadableFile) as refusal:
        reading(path, content)
    assert saying in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(UnreadableFile, match=f"there is no topology file {path}"):
        read_topology_file(path)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="cannot be read: Is a directory"):
        read_topology_file(tmp_path)


def test_a_path_through_a_file_leads_nowhere(path: Path) -> None:
    path.write_text("")
    with pytest.raises(UnreadableFile, match="cannot be read: Not a directory"):
        read_topology_file(path / "topology.toml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_we_may_not_read_is_named(path: Path) -> None:
    path.write_text("")
    path.chmod(0)
    with pytest.raises(UnreadableFile, match="cannot be read: Permission denied"):
        read_topology_file(path)


@pytest.mark.parametrize("odd", ["topo\0logy.toml", "x" * 300])
def test_a_path_that_cannot_be_is_refused(odd: str) -> None:
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read_topology_file(Path(odd))


# descriptor sets


def descriptor_set(*grpc_services: str, package: str = "pspd", needs: str = "") -> bytes:
    file = descriptor_pb2.FileDescriptorProto(name="made.proto", package=package, dependency=[needs] if needs else [])
    for name in grpc_services:
        file.service.add(name=name)
    return descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()


def contract(path: Path, said: str, implements: str = "pspd.ServiceA") -> TopologyFile:
    service = f"[services.a]\nprotocol='grpc'\ncontract='pspd'\ngrpc_services=['{implements}']\nversions={{v1={{}}}}\n"
    return reading(path, f"[contracts.pspd]\ndescriptor_set = '{said}'\n{service}")


def test_a_descriptor_set_is_found_beside_the_file(path: Path) -> None:
    file = contract(path, "made/pspd.binpb")
    made = path.parent / "made" / "pspd.binpb"
    made.parent.mkdir()
    made.write_bytes(descriptor_set("ServiceA"))
    assert descriptor_sets(file, path) == {"pspd": descriptor_set("ServiceA")}


def test_a_descriptor_set_is_found_in_a_package(path: Path) -> None:
    file = reading(path, "[contracts.envoy]\ndescriptor_set = 'mesh.xds:envoy.binpb'\n")
    assert descriptor_sets(file, path)["envoy"] == (Path(__file__).parents[1] / "xds" / "envoy.binpb").read_bytes()


def test_a_contract_without_a_package_names_its_services_by_their_own_names(path: Path) -> None:
    (path.parent / "x.binpb").write_bytes(descriptor_set("ServiceA", package=""))
    assert list(descriptor_sets(contract(path, "x.binpb", implements="ServiceA"), path)) == ["pspd"]


@pytest.mark.parametrize(
    ("said", "content", "saying"),
    [
        ("x.binpb", None, "contracts.pspd.descriptor_set 'x.binpb' cannot be read: No such file or directory"),
        (".", None, "cannot be read: Is a directory"),
        ("mesh.xds:nothing.binpb", None, "cannot be read: No such file or directory"),
        ("no_such_package:x.binpb", None, "cannot be read: No module named 'no_such_package'"),
        ("mesh.errors:x.binpb", None, "cannot be read: "),
        ("x.binpb", b"\xff\xff", "is not a complete FileDescriptorSet"),
        ("x.binpb", b"", "contract pspd has no gRPC service pspd.ServiceA; there are none"),
        ("x.binpb", descriptor_set("ServiceA", needs="google/api/http.proto"), "protoc --include_imports"),
        ("x.binpb", descriptor_set("ServiceB"), "has no gRPC service pspd.ServiceA; did you mean pspd.ServiceB?"),
    ],
)
def test_a_descriptor_set_that_is_no_use_is_named(path: Path, said: str, content: bytes | None, saying: str) -> None:
    if content is not None:
        (path.parent / said).write_bytes(content)
    with pytest.raises(UnreadableFile) as refusal:
        descriptor_sets(contract(path, said), path)
    assert saying in str(refusal.value)
    assert "\n" not in str(refusal.value)


# the file that we ship


def test_the_default_file_says_every_limit_and_setting_at_its_default() -> None:
    file = read_topology_file(DEFAULT)
    assert file.limits == Limits()
    assert file.edge == Edge()
    assert file.telemetry == Telemetry()
    assert set(file.on.laptop.services) == set(file.services) == {"a", "b", "a-rest", "b-rest"}


def test_the_twins_of_the_default_file_have_the_same_routes_times_and_retries() -> None:
    services = read_topology_file(DEFAULT).services
    assert services["a"].routes == services["a-rest"].routes
    assert services["b"].routes == services["b-rest"].routes


def test_the_default_file_implements_the_contract_that_we_ship() -> None:
    assert set(descriptor_sets(read_topology_file(DEFAULT), DEFAULT)) == {"pspd"}
