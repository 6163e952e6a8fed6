"""The journal as an edge's listener has it: a Lua module (journal.lua says which functions it has), for the listener's first
HTTP filter.

What it reads on the way out, so that routes must set it: `x-request-id`, `x-trace-id`, `x-meshlog-position`,
`x-meshlog-service`, `x-meshlog-version`. It writes to `spool/` in Envoy's working directory, a link to the directory of this
incarnation.
"""

import functools
import re
from importlib import resources

TEXTS = ("spool.lua", "messages.lua", "journal.lua")  # one script: each uses what stands before it


@functools.cache
def journal_module(asked: str) -> str:
    """The module's text for the listener that serves the path `asked` ("grpc" or "rest")."""
    # It becomes a Lua literal, a MessagePack string and a part of file names.
    if not re.fullmatch("[a-z]{1,31}", asked):
        raise ValueError(f"a path of the edge is a short word, not {asked!r}")
    texts = [(resources.files("mesh.journal") / name).read_text(encoding="utf-8") for name in TEXTS]
    return "\n".join([f'local ASKED = "{asked}"', *texts])
