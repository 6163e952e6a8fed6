"""Asks for a trace, and waits a little for its spans: they are sent four times a second. For `meshlog trace ID`.

Rules: standard library only, for the command must start quickly; every request has a time limit; no proxy of the
environment is asked, for traces are kept nearby. Blocking: from a coroutine, use a thread.
"""

import json
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from observability.document import from_json
from observability.errors import TracesUnavailable, UnknownTrace
from observability.jaeger import spans_from_jaeger
from observability.settling import POLL_SECONDS, Settling
from observability.spans import Span, trace_id_of

REQUEST_SECONDS = 5.0
ANSWER_BYTES = 64 * 1024 * 1024


def fetch_trace(http_base: str, trace_id: str, wait_seconds: float = 3.0, expect_complete: bool = True) -> list[Span]:
    """The spans of a trace as the sink at `http_base` has them.

    Waits until the trace is whole and quiet, at most `wait_seconds`; what has come by then is returned, whole or not
    (`tree(spans).complete`). expect_complete=False returns at once with what is there.
    Raises: MalformedTraceId, UnknownTrace, TracesUnavailable.
    """

    def ask(wanted: str) -> list[Span]:
        document = _get(f"{http_base.rstrip('/')}/trace/{wanted}", "the sink")
        return from_json(document) if document is not None else []

    return _settled(ask, trace_id_of(trace_id), f"the sink at {http_base}", wait_seconds if expect_complete else 0)


def fetch_from_jaeger(base: str, trace_id: str, wait_seconds: float = 3.0, expect_complete: bool = True) -> list[Span]:
    """The same from Jaeger's query API; `base` is where its pages are, as http://localhost:16686."""

    def ask(wanted: str) -> list[Span]:
        document = _get(f"{base.rstrip('/')}/api/traces/{wanted}", "Jaeger")
        return spans_from_jaeger(document) if document is not None else []

    return _settled(ask, trace_id_of(trace_id), f"Jaeger at {base}", wait_seconds if expect_complete else 0)


def _settled(ask: Callable[[str], list[Span]], trace_id: str, where: str, wait_seconds: float) -> list[Span]:
    settling = Settling(wait_seconds, time.monotonic())
    while True:
        try:
            spans = ask(trace_id)
        except ValueError as error:
            raise TracesUnavailable(f"{where} answers something else: {error}") from error
        if settling.done(spans, time.monotonic()):
            break
        time.sleep(POLL_SECONDS)
    if not spans:
        raise UnknownTrace(trace_id, where)
    return spans


def _get(url: str, who: str) -> Any:
    """The JSON behind `url`; None where there is no such thing. Raises: TracesUnavailable, ValueError."""
    address = urlsplit(url)
    where = f"{address.scheme}://{address.netloc}"
    if address.scheme not in ("http", "https") or not address.netloc:
        raise TracesUnavailable(f"{who} is asked by http://host:port or https://host:port; {url!r} is neither")
    request = Request(url, headers={"accept": "application/json"})  # noqa: S310 - the scheme was looked at
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=REQUEST_SECONDS) as answer:
            body = answer.read(ANSWER_BYTES + 1)
    except HTTPError as error:
        if error.code == 404:
            return None
        raise TracesUnavailable(f"{who} at {where} answered {error.code} {error.reason}") from error
    except (URLError, OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise TracesUnavailable(f"{who} does not answer at {where}: {reason}; is it running?") from error
    if len(body) > ANSWER_BYTES:
        raise TracesUnavailable(f"{who} at {where} answered with more than {ANSWER_BYTES} bytes")
    return json.loads(body)
