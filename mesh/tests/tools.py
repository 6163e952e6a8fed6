"""Programs that tests speak to and that are no Python packages."""

import os
import shutil

import pytest


def require_tool(program: str) -> None:
    """Skip the test, with the reason, where `program` is not on PATH; in CI, fail it instead."""
    if shutil.which(program) is None:
        reason = f"{program} is not on PATH; .ci/install-tools builds it"
        if os.environ.get("MESHLOG_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
