"""Generated code is checked in; what is checked in is what the generator writes today."""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from mesh.cli.generate import SOURCE, WRITTEN, generate


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("generated")
    generate(root)
    return root


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_checked_in_is_what_the_generator_writes(generated: Path, name: str) -> None:
    same = (generated / name).read_bytes() == (SOURCE / name).read_bytes()
    assert same, f"{name} is stale: run `make generate`"


def test_the_generator_writes_nothing_that_is_not_listed(generated: Path) -> None:
    found = {str(file.relative_to(generated)) for file in generated.rglob("*") if file.is_file()}
    assert found == set(WRITTEN)


@pytest.mark.parametrize(("name", "package"), [("pspd", "pspd"), ("echo", "meshlog.bench.v1")])
def test_a_contract_carries_its_imports_so_that_the_edge_can_read_it_alone(
    generated: Path, name: str, package: str
) -> None:
    contract = descriptor_pb2.FileDescriptorSet.FromString((generated / f"services/stubs/{name}.binpb").read_bytes())
    packages = {file.name: file.package for file in contract.file}
    assert {"google/api/annotations.proto", "google/rpc/error_details.proto"} <= packages.keys()
    assert packages[f"services/stubs/{name}.proto"] == package
    assert not any(file.HasField("source_code_info") for file in contract.file)
