"""B-REST, the twin of B over HTTP/1.1 and JSON. Runs alone: `python -m services.b_rest`, port 50062.

Its values come all at once, after the same pauses: this is what the original report's REST twin did, and what is compared.
"""

import os
import sys
from collections.abc import Mapping, Sequence

from services import rest
from services.pacing import paced
from services.query import int32, parameters
from services.rules import numbers


async def numbers_after_their_pauses(query: str, _: bytes) -> dict[str, list[int]]:
    given = parameters(query, ("count", "delay_ms"))
    asked = numbers(int32("count", given), int32("delay_ms", given))
    return {"values": [value async for value in paced(asked)]}  # a client that leaves cancels this at the next pause


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    return rest.main("b-rest", "127.0.0.1:50062", "/b/numbers", numbers_after_their_pauses, argv, environ)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
