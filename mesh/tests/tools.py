"""Programs that tests speak to and that are no Python packages."""

import os
import shutil

import pytest


def require_tool(*names: str) -> str:
    """The path of the program, under the first of its `names` that is on PATH. Where there is none, skip the test with the
    reason; in CI, fail it instead."""
    for name in names:
        if found := shutil.which(name):
            return found
    reason = f"{' or '.join(names)} is not on PATH; .ci/run installs it"
    if os.environ.get("MESHLOG_REQUIRE_TOOLS"):
        pytest.fail(reason)
    pytest.skip(reason)
