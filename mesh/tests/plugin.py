"""What pytest knows besides: the marker `tool`, for tests that need a program which is no Python package."""

import os
import shutil
from collections.abc import Iterator

import pytest

from mesh.tests.meshes import Mesh, a_mesh


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what needs a program that is not on PATH; in CI, fail instead."""
    for marker in item.iter_markers("tool"):
        (program,) = marker.args
        if shutil.which(program) is None:
            reason = f"{program} is not on PATH; .ci/install-tools builds it"
            if os.environ.get("MESHLOG_REQUIRE_TOOLS"):
                pytest.fail(reason)
            pytest.skip(reason)


@pytest.fixture(scope="session")
def mesh() -> Iterator[Mesh]:
    """The default mesh, up: for tests that only call and ask. Whoever kills or changes something makes a mesh of its own."""
    with a_mesh("shared") as shared:
        shared.up()
        yield shared
