"""One call is one trace of five spans, in our sink and in a real Jaeger."""

import asyncio
import json
import urllib.request
from functools import partial
from typing import Any

import pytest

from mesh.tests.load import Answer, get
from mesh.tests.meshes import Mesh, a_mesh, until
from observability.tests.running import a_jaeger

pytestmark = pytest.mark.mesh

CALLS = [("grpc", "/a/hello?name=x", "a"), ("grpc", "/b/numbers?count=3&delay_ms=20", "b")]
CALLS += [("rest", "/a/hello?name=x", "a-rest"), ("rest", "/b/numbers?count=3&delay_ms=20", "b-rest")]


@pytest.mark.parametrize(("path", "url", "service"), CALLS)
def test_one_call_is_one_trace_of_five_nested_spans(mesh: Mesh, path: str, url: str, service: str) -> None:
    answer = asyncio.run(get(getattr(mesh, path), url))
    spans = json.loads(mesh.meshlog("trace", answer.headers["x-trace-id"], "--json").stdout)["spans"]
    chain = _chain(spans)
    assert [span["kind"] for span in chain] == ["server", "client", "server", "client", "server"]
    assert chain[0]["service"] == "edge"
    assert chain[-1]["service"] == service


@pytest.mark.parametrize(("path", "url", "service"), CALLS)
def test_the_call_in_the_log_carries_the_trace_and_the_position_it_was_served_under(
    mesh: Mesh, path: str, url: str, service: str
) -> None:
    answer = asyncio.run(get(getattr(mesh, path), url))
    call = until(lambda: _call(mesh, answer)) or {}
    assert call["trace_id"] == answer.headers["x-trace-id"]
    assert call["position"] == mesh.status()["position"]
    assert (call["service"], call["asked"], call["http_status"]) == (service, path, 200)


def test_the_waterfall_is_there_within_a_second_of_the_call(mesh: Mesh) -> None:
    answer = asyncio.run(get(mesh.grpc, "/a/hello"))
    drawn = mesh.meshlog("trace", answer.headers["x-trace-id"]).stdout
    assert drawn.count("pspd.ServiceA/SayHello") >= 1
    assert "edge" in drawn


def test_a_call_is_traced_if_its_caller_says_so_however_few_are_sampled() -> None:
    with a_mesh("sampled") as mesh:
        mesh.environment["OTEL_TRACES_SAMPLER"] = "always_off"
        mesh.up()
        traced: set[str] = set()
        silent: set[str] = set()
        for number, path in enumerate(("grpc", "rest"), start=0xABC):
            for flags, ids in (("01", traced), ("00", silent)):
                trace_id = f"{number:030x}{flags}"
                traceparent = f"traceparent: 00-{trace_id}-00f067aa0ba902b7-{flags}\r\n"
                answer = asyncio.run(get(getattr(mesh, path), "/a/hello", traceparent))
                assert answer.headers["x-trace-id"] == trace_id
                ids.add(trace_id)
            asyncio.run(get(getattr(mesh, path), "/a/hello"))  # without a caller's word nothing is traced here
        for trace_id in traced:
            assert len(_chain(json.loads(mesh.meshlog("trace", trace_id, "--json").stdout)["spans"])) == 5
        assert "no trace" in mesh.meshlog("trace", min(silent), check=False).stderr
        sink = next(p for p in mesh.status()["processes"] if p["kind"] == "sink")["ports"][-1]
        found = _get(f"http://127.0.0.1:{sink}/traces") or {}
        assert {trace["trace_id"] for trace in found["traces"]} == traced


@pytest.mark.tool("jaeger-all-in-one")
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_real_jaeger_shows_the_same_five_spans(protocol: str) -> None:
    with a_jaeger() as jaeger, a_mesh("jaeger") as mesh:
        endpoint = jaeger.grpc if protocol == "grpc" else jaeger.otlp_http
        mesh.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{endpoint}"
        mesh.environment["OTEL_EXPORTER_OTLP_PROTOCOL"] = protocol
        mesh.up()
        assert not any(process["kind"] == "sink" for process in mesh.status()["processes"])
        for path, url, service in CALLS:
            answer = asyncio.run(get(getattr(mesh, path), url))
            trace = until(partial(_jaeger_trace, jaeger.http, answer.headers["x-trace-id"])) or {}
            assert len({span["spanID"] for span in trace["spans"]}) == 5
            kinds = [tag["value"] for span in trace["spans"] for tag in span["tags"] if tag["key"] == "span.kind"]
            assert sorted(kinds) == ["client", "client", "server", "server", "server"]
            assert service in {process["serviceName"] for process in trace["processes"].values()}


def _chain(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The spans from the root down; fails unless each has exactly one child, and all are of one trace."""
    by_parent = {span["parent_id"]: span for span in spans}
    assert len(by_parent) == len(spans)
    assert len({span["trace_id"] for span in spans if "trace_id" in span}) <= 1
    known = {span["span_id"] for span in spans}
    (root,) = (span for span in spans if span["parent_id"] not in known)
    chain = [root]
    while child := by_parent.get(chain[-1]["span_id"]):
        assert chain[-1]["start_ns"] <= child["start_ns"] if "start_ns" in child else True
        chain.append(child)
    assert len(chain) == len(spans)
    return chain


def _call(mesh: Mesh, answer: Answer) -> dict[str, Any] | None:
    return next((call for call in mesh.calls() if call["call_id"] == answer.headers["x-request-id"]), None)


def _jaeger_trace(query: str, trace_id: str) -> dict[str, Any] | None:
    found = _get(f"{query}/api/traces/{trace_id}")
    trace: dict[str, Any] | None = found["data"][0] if found and found.get("data") else None
    return trace if trace and len(trace["spans"]) >= 5 else None


def _get(url: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError:
        return None
