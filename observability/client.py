"""Asks for a trace, and waits a little for its spans: they are sent four times a second. For `meshlog trace ID`.
Or asks for many at once, as they are now. For the benchmark.

Rules: standard library only, for the command must start quickly; every request has a time limit; no proxy of the
environment is asked, for traces are kept nearby. Blocking: from a coroutine, use a thread.
"""

import json
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from observability.document import from_json
from observability.errors import TracesUnavailable, UnknownTrace
from observability.jaeger import spans_from_jaeger
from observability.settling import POLL_SECONDS, Settling
from observability.spans import Span, trace_id_of

REQUEST_SECONDS = 5.0
AT_ONCE = 100  # traces in one question; the sink answers no more
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


def fetch_traces(http_base: str, trace_ids: Sequence[str]) -> dict[str, list[Span]]:
    """The spans that the sink has of these traces now, by trace id; a trace that is not there is left out.

    At most AT_ONCE. Raises: TracesUnavailable.
    """
    query = urlencode({"ids": ",".join(trace_ids)}, safe=",")
    return _by_trace(f"{http_base.rstrip('/')}/traces?{query}", f"the sink at {http_base}", _spans_from_sink)


def fetch_traces_from_jaeger(base: str, trace_ids: Sequence[str]) -> dict[str, list[Span]]:
    """The same from Jaeger's query API. Raises: TracesUnavailable."""
    query = urlencode([("traceID", trace_id) for trace_id in trace_ids])
    return _by_trace(f"{base.rstrip('/')}/api/traces?{query}", f"Jaeger at {base}", spans_from_jaeger)


def _spans_from_sink(document: Any) -> list[Span]:
    return [span for trace in document["traces"] for span in from_json(trace)]


def _by_trace(url: str, where: str, read: Callable[[Any], list[Span]]) -> dict[str, list[Span]]:
    try:
        document = _get(url, where.partition(" at ")[0])
        spans = read(document) if document is not None else []
    except (ValueError, KeyError, TypeError) as error:
        raise TracesUnavailable(f"{where} answers something else: {error!r}") from error
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(span.trace_id, []).append(span)
    return found


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
