"""What the edge answers by itself, without asking a service: the page, its health, and calls that lead nowhere.

The bodies of errors are sentences here; edge/errors.py gives them their form.
"""

from collections.abc import Sequence
from typing import Any

from edge.page import content_security_policy, page
from edge.switch import switched
from mesh.xds.messages import message


def header(name: str, value: str) -> dict[str, Any]:
    """A header of an answer, whatever the service may have set."""
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def edge_answers(asked: str, trace_url: str, calls: Sequence[str]) -> list[Any]:
    """Page, health, and 404 for the rest. `calls` are those that the edge knows: "GET /a/hello"."""
    html = page(asked, trace_url)
    return [
        _answer("page", _read("/"), 200, html, _page_headers(html)),
        _answer("healthz", _read("/healthz"), 200, '{"status":"SERVING"}', _HEALTH_HEADERS),
        *(wrong_method(path, ["GET", "HEAD"]) for path in ("/", "/healthz")),
        _answer("not-found", {"prefix": "/"}, 404, f"there is no such path; there are {', '.join(['GET /', *calls])}"),
    ]


def wrong_method(path: str, allowed: Sequence[str]) -> Any:
    """405 for a path that routes before this one answer to other methods."""
    sentence = f"{path} answers to {' and '.join(allowed)} alone"
    return _answer(f"{path} wrong method", {"path": path}, 405, sentence, [header("allow", ", ".join(allowed))])


def no_workload(route: str, match: dict[str, Any], service: str) -> Any:
    """503 for a service that is declared and has nobody to do its work."""
    return _answer(route, match, 503, "", [header("x-meshlog-service", service)])


_HEALTH_HEADERS = [header("content-type", "application/json"), header("cache-control", "no-store")]


def _page_headers(html: str) -> list[dict[str, Any]]:
    return [
        header("content-type", "text/html; charset=utf-8"),
        header("content-security-policy", content_security_policy(html)),
        header("x-content-type-options", "nosniff"),
        header("referrer-policy", "no-referrer"),
        header("cache-control", "no-cache"),
    ]


def _read(path: str) -> dict[str, Any]:
    return {"path": path, "headers": [{"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}]}


def _answer(name: str, match: dict[str, Any], status: int, body: str, headers: Sequence[dict[str, Any]] = ()) -> Any:
    return message("envoy.config.route.v3.Route")(
        name=name,
        match=match,
        direct_response={"status": status, "body": {"inline_string": body}},
        response_headers_to_add=headers,
        typed_per_filter_config=switched(off=["buffer"]),  # the answer does not depend on a body, nor wait for it
    )
