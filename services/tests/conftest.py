"""The workloads, started once for all tests that only ask them something."""

from collections.abc import Iterator

import pytest

from services.tests.running import Started, started


@pytest.fixture(scope="session")
def a() -> Iterator[Started]:
    with started("a") as process:
        yield process


@pytest.fixture(scope="session")
def b() -> Iterator[Started]:
    with started("b") as process:
        yield process


@pytest.fixture(scope="session")
def a_rest() -> Iterator[Started]:
    with started("a_rest") as process:
        yield process


@pytest.fixture(scope="session")
def b_rest() -> Iterator[Started]:
    with started("b_rest") as process:
        yield process


@pytest.fixture(scope="session")
def echo() -> Iterator[Started]:
    with started("echo") as process:
        yield process


@pytest.fixture(scope="session")
def echo_rest() -> Iterator[Started]:
    with started("echo_rest") as process:
        yield process
