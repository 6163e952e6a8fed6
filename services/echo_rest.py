"""ECHO-REST, the twin of Echo over HTTP/1.1 and JSON. Runs alone: `python -m services.echo_rest`, port 50063.

A body means what the edge's transcoder takes it for: none, or no payload in it, is the empty payload; what it says besides
is ignored. The transcoder forgives more (single quotes, a comma too many, a payload in the query); here JSON is JSON.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from services import rest
from services.query import parameters
from services.rules import PAYLOAD_BYTES_MAX, InvalidArgument, echoed

# JSON may write a byte as six (\u0041): whatever is within the bound fits, and who is over it is told so
BODY_BYTES_MAX: Final = 7 * PAYLOAD_BYTES_MAX


class EchoRequest(msgspec.Struct):
    payload: str | None = None


_REQUEST: Final = msgspec.json.Decoder(EchoRequest)


async def echo(query: str, body: bytes) -> dict[str, str]:
    parameters(query, ())
    return {"payload": echoed(payload_of(body))}


def payload_of(body: bytes) -> str:
    """Raises: InvalidArgument."""
    try:
        return _REQUEST.decode(body or b"{}").payload or ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        sentence = f'the body is JSON in UTF-8, as in {{"payload": "text"}}; this one is not: {error}'
        raise InvalidArgument("", "NOT_A_MESSAGE", sentence) from None


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    listen, path = "127.0.0.1:50063", "/echo"
    return rest.main("echo-rest", listen, path, echo, argv, environ, method="POST", body_bytes_max=BODY_BYTES_MAX)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
