"""The page: whole in one answer, allowed to do what it does and nothing else, and served on both paths."""

import re

import pytest

from edge.page import content_security_policy, page
from edge.routes import PAGE_BYTES_MAX
from edge.tests.running import RunningEdge

PATHS = ("grpc", "rest")
TRACE_URL = "http://localhost:16686/trace/{trace_id}"


@pytest.mark.parametrize("asked", PATHS)
def test_the_page_is_served_at_the_root_of_both_paths(misled: RunningEdge, asked: str) -> None:
    answer = misled.curl("/", port=getattr(misled.ports, asked))
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.body == page(asked, "")
    assert answer.headers["content-security-policy"] == content_security_policy(answer.body)
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("asked", PATHS)
def test_health_is_json_on_both_paths(misled: RunningEdge, asked: str) -> None:
    answer = misled.curl("/healthz", port=getattr(misled.ports, asked))
    assert (answer.status, answer.headers["content-type"], answer.body) == (
        200,
        "application/json",
        '{"status":"SERVING"}',
    )


def test_the_page_knows_its_path_and_where_traces_are_looked_at() -> None:
    text = page("rest", TRACE_URL)
    assert 'data-path="rest"' in text
    assert f'data-trace-url="{TRACE_URL}"' in text
    assert "{{" not in text


def test_what_stands_in_the_topology_cannot_break_out_of_the_page() -> None:
    assert '"><script>' not in page("grpc", '"><script>alert(1)</script>')


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = page("grpc", "")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
    assert not re.search(r"@import|url\(", text)
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text)  # the policy forbids handlers in attributes
    assert not re.search(r"\sstyle\s*=", text)


def test_the_page_fits_the_bound_that_the_route_table_gives_it() -> None:
    assert len(page("grpc", TRACE_URL).encode()) < PAGE_BYTES_MAX


def test_every_field_has_a_label_and_every_answer_a_name() -> None:
    text = page("grpc", "")
    assert len(re.findall(r"<label>[^<]+<input", text)) == len(re.findall("<input", text))
    assert all("aria-label=" in tag for tag in re.findall("<output[^>]*>", text))
    assert '<html lang="en"' in text
