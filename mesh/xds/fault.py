"""A fault in a sidecar: a filter that delays calls on their way to the workload (fault.lua).

Rule: it stands right in front of the router, so that the delay lies between the sidecar's server span and its client
span, and a trace blames the sidecar for it and nobody else.
"""

from functools import cache
from pathlib import Path
from typing import Any

from mesh.topology import Fault
from mesh.xds.http import lua_filter


def fault_filter(fault: Fault) -> Any:
    """The HttpFilter that makes `fault` felt."""
    delay_ns = round(fault.delay_ms * 1_000_000)
    return lua_filter("fault", f"local DELAY_NS, PERCENT = {delay_ns}, {fault.percent!r}\n{_source()}")


@cache
def _source() -> str:
    return Path(__file__).with_name("fault.lua").read_text(encoding="utf-8")
