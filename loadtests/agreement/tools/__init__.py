"""Other people's load generators, each run on one of our cells, so that our own figures can be held against theirs.

One module a tool, with one function: `run(load) -> ToolResult`. Rules:
- A closed-loop cell as it is: `users` at a time, each with a connection of its own that it keeps.
- No call is traced: every one carries a traceparent that says so, as a mesh that samples all would otherwise be measured
  tracing. Nothing else is added to the requests.
- None of the tools can leave the first seconds out of its statistics (ghz skips a number of calls, not a time), so a run
  of `warmup_seconds` goes before and is thrown away. It warms the mesh, not the tool: its connections are opened anew.
- Only what a tool says in a form for machines is read.
"""

from collections.abc import Callable
from typing import Final

from loadtests.agreement.tools import ghz, k6, wrk
from loadtests.agreement.tools.result import Load, ToolResult

TOOLS: Final[dict[str, Callable[[Load], ToolResult]]] = {k6.NAME: k6.run, ghz.NAME: ghz.run, wrk.NAME: wrk.run}
