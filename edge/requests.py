"""The filter that keeps one client's nonsense from its neighbours (requests.lua)."""

from functools import cache
from pathlib import Path
from typing import Any

from mesh.xds.http import lua_filter


def requests_filter() -> Any:
    """Behind the buffer, so that a body is there whole, and within its limit, when it is looked at."""
    return lua_filter("requests", _source())


@cache
def _source() -> str:
    return Path(__file__).with_name("requests.lua").read_text(encoding="utf-8")
