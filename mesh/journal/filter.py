"""The journal as an edge's listener has it: the Lua filter's text. It must be the first HTTP filter of the listener.

What it reads on the way out, so that routes must set it: `x-meshlog-position`, `x-meshlog-service`, `x-meshlog-version`,
`x-trace-id`. It writes to `spool/` in Envoy's working directory, a link to the directory of this incarnation.
"""

import functools
import re
from importlib import resources


@functools.cache
def journal_source(asked: str) -> str:
    """The filter's Lua text for the listener that serves the path `asked` ("grpc" or "rest")."""
    if not re.fullmatch(
        "[a-z]{1,31}", asked
    ):  # it becomes a Lua literal, a MessagePack string and part of a file's name
        raise ValueError(f"a path of the edge is a short word, not {asked!r}")
    text = (resources.files("mesh.journal") / "journal.lua").read_text(encoding="utf-8")
    return f'local ASKED = "{asked}"\n{text}'
