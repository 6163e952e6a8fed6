"""The journal as an edge's listener has it: the Lua filter's text. It must be the first HTTP filter of the listener.

What it reads on the way out, so that routes must set it: `x-meshlog-position`, `x-meshlog-service`, `x-meshlog-version`,
`x-trace-id`. It writes to `spool/` in Envoy's working directory, a link to the directory of this incarnation.
"""

import functools
import re
from importlib import resources

TEXTS = ("spool.lua", "messages.lua", "journal.lua")  # one script: each uses what stands before it


@functools.cache
def journal_source(asked: str) -> str:
    """The filter's Lua text for the listener that serves the path `asked` ("grpc" or "rest")."""
    # It becomes a Lua literal, a MessagePack string and a part of file names.
    if not re.fullmatch("[a-z]{1,31}", asked):
        raise ValueError(f"a path of the edge is a short word, not {asked!r}")
    texts = [(resources.files("mesh.journal") / name).read_text(encoding="utf-8") for name in TEXTS]
    return "\n".join([f'local ASKED = "{asked}"', *texts])
