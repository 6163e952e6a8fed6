"""A-REST, the twin of A over HTTP/1.1 and JSON. Runs alone: `python -m services.a_rest`, port 50061."""

import os
import sys
from collections.abc import Mapping, Sequence

from services import rest
from services.query import parameters, text
from services.rules import greeting


async def hello(query: str, _: bytes) -> dict[str, str]:
    given = parameters(query, ("name",))
    return {"message": greeting(text("name", given), by="A-REST")}


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    return rest.main("a-rest", "127.0.0.1:50061", "/a/hello", hello, argv, environ)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
