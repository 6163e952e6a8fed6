"""What pytest knows besides: the marker `tool`, for tests that need a program which is no Python package."""

import signal
from collections.abc import Iterator

import pytest

from mesh.tests.meshes import Mesh, a_mesh
from mesh.tests.tools import require_tool


def pytest_configure() -> None:
    """Under nohup, or in the background of a script, signals are ignored, and so they would be by all that tests start."""
    for number, default in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, default)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("tool"):
        require_tool(*marker.args)


@pytest.fixture(scope="session")
def mesh() -> Iterator[Mesh]:
    """The default mesh, up: for tests that only call and ask. Whoever kills or changes something makes a mesh of its own."""
    with a_mesh("shared") as shared:
        shared.up()
        yield shared
