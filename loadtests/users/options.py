"""The options of our users, as Locust shows them: on its command line, in its web UI, in its configuration files."""

import json
from argparse import Namespace
from typing import Any

from loadtests.model.cells import JOURNEYS, Cell

TIMEOUT_SECONDS = 60.0  # of one call; above the longest that anybody waits for
HTTP_VERSIONS = ("1.1", "2")


def add_options(parser: Any) -> None:
    """To an argument parser of Locust's."""
    # not in a group of their own: Locust's web UI shows only what was added to its parser itself
    parser.add_argument(
        "--journey", choices=list(JOURNEYS), default="report", help="what each user does again and again"
    )
    parser.add_argument("--count", type=int, default=10, help="numbers that B is asked for")
    parser.add_argument("--delay-ms", type=int, default=5, help="between two of them")
    parser.add_argument("--payload-bytes", type=int, default=10, help="of the echo (manifests/bench.toml)")
    parser.add_argument(
        "--rate",
        type=float,
        default=0.0,
        help="calls a second of each user, at a constant rate (open loop); 0: each as soon as the last is answered",
    )
    parser.add_argument("--http", choices=list(HTTP_VERSIONS), default="1.1", help="between a JSON client and the edge")
    parser.add_argument("--new-connections", action="store_true", help="a connection for every call")
    parser.add_argument("--sampled-percent", type=float, default=1.0, help="of calls that are traced")
    parser.add_argument(
        "--hosts",
        type=json.loads,
        default={},
        include_in_web_ui=False,
        help='where each path begins, as JSON: {"grpc": "http://localhost:8080"}',
    )
    parser.add_argument("--timeout-seconds", type=float, default=TIMEOUT_SECONDS, help="for one call")


def cell_of(path: str, options: Namespace) -> Cell:
    """What a user on `path` is asked to do; how many users there are is Locust's affair."""
    return Cell(
        path=path,
        journey=options.journey,
        users=0,
        rate=options.rate,
        count=options.count,
        delay_ms=options.delay_ms,
        payload_bytes=options.payload_bytes,
        reuse=not options.new_connections,
        http=options.http,
    )


def options_for(cell: Cell, *, sampled_percent: float, timeout_seconds: float = TIMEOUT_SECONDS) -> dict[str, Any]:
    """The options that make users do what `cell` says."""
    return {
        "journey": cell.journey,
        "count": cell.count,
        "delay_ms": cell.delay_ms,
        "payload_bytes": cell.payload_bytes,
        "rate": cell.rate / cell.users,
        "http": cell.http,
        "new_connections": not cell.reuse,
        "sampled_percent": sampled_percent,
        "timeout_seconds": timeout_seconds,
    }
