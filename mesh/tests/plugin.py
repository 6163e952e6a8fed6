"""What pytest knows besides: the marker `tool`, for tests that need a program which is no Python package."""

from collections.abc import Iterator

import pytest

from mesh.tests.meshes import Mesh, a_mesh
from mesh.tests.tools import require_tool


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("tool"):
        require_tool(*marker.args)


@pytest.fixture(scope="session")
def mesh() -> Iterator[Mesh]:
    """The default mesh, up: for tests that only call and ask. Whoever kills or changes something makes a mesh of its own."""
    with a_mesh("shared") as shared:
        shared.up()
        yield shared
