"""What the sink answers over HTTP: one method for each route, named in `Routes.answer`.

Rules: JSON unless a person asks; errors are google.rpc.Status; nobody gets more than `LATEST` traces in one answer.
"""

import asyncio
import json
import re
import time
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from observability.document import summary, to_json
from observability.errors import MalformedTraceId
from observability.http_messages import HttpError, Request, Response, unpacked
from observability.settling import POLL_SECONDS, Settling
from observability.spans import Span, request_from_json, trace_id_of
from observability.traces import TraceStore

LATEST = 100  # traces in one list, at most
PERSON_WAITS_SECONDS = 2.0  # who follows a link right after the call may be faster than the spans


OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")


def _require_own_name(host: str) -> None:
    """A page whose name resolves to this machine ("DNS rebinding") must not read traces. Browsers always send a Host.

    Raises: HttpError.
    """
    name, _, port = host.rpartition(":")
    if host and (name if name and port.isdigit() else host).lower() not in OWN_NAMES:
        raise HttpError(403, f"ask for localhost, not for {host!r}")


def taken(refused: int) -> ExportTraceServiceResponse:
    """What the sender is told, over gRPC and HTTP alike."""
    response = ExportTraceServiceResponse()
    if refused:
        response.partial_success.rejected_spans = refused
        response.partial_success.error_message = "spans without a valid trace id, or more than one trace may hold"
    return response


class Routes:
    """The answers over HTTP."""

    def __init__(self, store: TraceStore) -> None:
        self._store = store

    async def answer(self, request: Request) -> Response:
        """Raises: HttpError."""
        _require_own_name(request.headers.get("host", ""))
        method = "GET" if request.method == "HEAD" else request.method
        match method, request.path.split("/")[1:]:
            case "POST", ["v1", "traces"]:
                return self._take(request)
            case "GET", ["trace", text]:
                return await self._trace(request, text)
            case "GET", ["traces"]:
                return await self._traces(request)
            case "GET", ["healthz"]:
                return self._health()
            case _, ["v1", "traces"]:
                raise HttpError(405, "spans are sent by POST", allow="POST")
            case _, ["trace", _] | ["traces"] | ["healthz"]:
                raise HttpError(405, f"{request.path} is read by GET", allow="GET, HEAD")
        raise HttpError(404, "there are POST /v1/traces, GET /trace/<id>, GET /traces and GET /healthz")

    def _take(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("application/x-protobuf", "application/json"):
            raise HttpError(
                415, f"content-type {kind!r} is not known here; send application/x-protobuf or application/json"
            )
        try:
            body = unpacked(request)
            response = taken(self._store.add(body if kind.endswith("protobuf") else request_from_json(body)))
        except ValueError as error:
            raise HttpError(400, str(error)) from None
        if kind.endswith("protobuf"):
            return Response(response.SerializeToString(), kind)
        from google.protobuf import json_format  # see request_from_json

        return Response(json_format.MessageToJson(response, indent=None).encode(), kind)

    async def _trace(self, request: Request, text: str) -> Response:
        try:
            trace_id = trace_id_of(text)
        except MalformedTraceId as error:
            raise HttpError(400, str(error)) from None
        if "application/json" in request.headers.get("accept", ""):
            spans = self._store.trace(trace_id)
            if not spans:
                raise HttpError(404, f"no trace {trace_id} is here; it may be too old, or the call was not sampled")
            return _json(to_json(spans))
        from observability.page import missing_page, trace_page  # only a person needs it

        spans = await self._settled(trace_id)
        page, headers = trace_page(spans) if spans else missing_page(trace_id)
        return Response(page, "text/html; charset=utf-8", 200 if spans else 404, headers)

    async def _settled(self, trace_id: str) -> list[Span]:
        settling = Settling(PERSON_WAITS_SECONDS, time.monotonic())
        while not settling.done(spans := self._store.trace(trace_id), time.monotonic()):  # noqa: ASYNC110 - for silence, which is no event
            await asyncio.sleep(POLL_SECONDS)
        return spans

    async def _traces(self, request: Request) -> Response:
        if "ids" in request.query:
            return await self._asked_for(request.query["ids"].split(","))
        limit = request.query.get("limit", "20")
        if not re.fullmatch(r"[0-9]{1,9}", limit):
            raise HttpError(400, f"limit is a number from 0 to {LATEST}")
        found = []
        for trace_id in self._store.latest(min(int(limit), LATEST)):
            if spans := self._store.trace(trace_id):
                found.append(summary(spans))
            await asyncio.sleep(0)  # spans come in meanwhile
        return _json({"traces": found})

    async def _asked_for(self, texts: list[str]) -> Response:
        """Whole traces, in the order in which they were asked for; those that are not here are left out."""
        if len(texts) > LATEST:
            raise HttpError(400, f"ids are at most {LATEST} in one question; here are {len(texts)}")
        found = []
        for text in texts:
            try:
                spans = self._store.trace(trace_id_of(text))
            except MalformedTraceId as error:
                raise HttpError(400, str(error)) from None
            if spans:
                found.append(to_json(spans))
            await asyncio.sleep(0)  # spans come in meanwhile
        return _json({"traces": found})

    def _health(self) -> Response:
        store = self._store
        held = {"traces": len(store), "spans": store.spans, "bytes": store.size}
        return _json({"status": "serving", **held, "refused_spans": store.refused, "evicted_spans": store.evicted})


def _json(document: Any) -> Response:
    return Response(json.dumps(document, ensure_ascii=False).encode() + b"\n")
