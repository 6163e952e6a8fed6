"""The edge's Lua program: one filter, the first of each listener (program.lua), of modules that are texts of their own.

requests   what a client must not send on
errors     the one form of errors, also for those from inside the mesh
journal    one record of every answered call
"""

from functools import cache
from pathlib import Path
from typing import Any

from edge.errors import answers_as_lua
from mesh.events import Limits
from mesh.journal.program import journal_module
from mesh.xds.http import lua_filter


def program_filter(asked: str, limits: Limits, *, journal: bool) -> Any:
    """The filter of the listener that serves the path `asked`; without `journal` no call is recorded."""
    return lua_filter("program", _source(asked, limits.request_body_bytes, journal))


@cache
def _source(asked: str, body_bytes: int, journal: bool) -> str:
    return "\n".join(
        [
            f'local ASKED, BODY_BYTES = "{asked}", {body_bytes}',
            *answers_as_lua(),
            _module("requests", _text("requests")),
            _module("errors", _text("errors")),
            _module("journal", journal_module(asked) if journal else "return nil"),
            _text("program"),
        ]
    )


def _module(name: str, text: str) -> str:
    return f"local {name} = (function()\n{text}\nend)()"


def _text(name: str) -> str:
    return Path(__file__).with_name(f"{name}.lua").read_text(encoding="utf-8")
