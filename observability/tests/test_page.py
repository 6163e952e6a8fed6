"""The page: the whole trace for a person, and whatever a sender wrote stays text."""

from dataclasses import replace
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from observability.page import SHOWN, missing_page, trace_page
from observability.tests.made import TRACE, call, span

OURS = {
    "html",
    "meta",
    "title",
    "style",
    "header",
    "p",
    "code",
    "h1",
    "h2",
    "b",
    "div",
    "span",
    "i",
    "svg",
    "text",
    "line",
    "rect",
}
OURS |= {"details", "summary", "dl", "dt", "dd", "ul", "li"}
ATTRIBUTES = {
    "lang",
    "charset",
    "name",
    "content",
    "class",
    "title",
    "x",
    "y",
    "x1",
    "x2",
    "y1",
    "y2",
    "dx",
    "rx",
    "width",
    "height",
}


class Reader(HTMLParser):
    """What a browser would see."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words += data


@given(st.text(alphabet="<>\"'&/=;`$ abonclicksrpt\x00\u202e", max_size=40))
def test_whatever_a_sender_writes_adds_no_tag_and_no_attribute(hostile: str) -> None:
    calm = Reader(
        trace_page([replace(s, status="error", status_message="x", attributes={"x": "x"}) for s in call()])[0]
    )
    sent = [
        replace(
            s,
            name=hostile,
            service=f"{n}{hostile}",
            status="error",
            status_message=hostile,
            attributes={hostile: hostile},
        )
        for n, s in enumerate(call())
    ]
    seen = Reader(trace_page(sent)[0])
    assert set(seen.tags) <= OURS
    assert seen.attributes <= ATTRIBUTES
    assert seen.tags.count("details") == calm.tags.count("details") == 5


def test_a_script_is_shown_as_text() -> None:
    script = "<script>alert('1')</script>"
    page = Reader(trace_page([replace(call()[0], name=script, attributes={"k": '"><img src=x onerror=alert(1)>'})])[0])
    assert script in page.words
    assert '"><img src=x onerror=alert(1)>' in page.words


def test_the_policy_allows_nothing_but_the_pages_own_style() -> None:
    page, headers = trace_page(call())
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert b"<script" not in page
    assert b" style=" not in page
    assert b"http://" not in page
    assert b"https://" not in page


def test_a_person_sees_every_span_its_figures_and_where_the_time_went() -> None:
    words = Reader(trace_page(call())[0]).words
    for wanted in (TRACE, "pspd.ServiceA/SayHello", "6.42 ms", "http.route", "edge → sidecar-a", "12 %", "5 spans"):
        assert wanted in words


def test_a_page_has_a_bound() -> None:
    large = {f"attribute-{n}": "<" * 50_000 for n in range(100)}
    page, _ = trace_page([span(n, 1 if n > 1 else 0, "a", "large", 0, 1, attributes=large) for n in range(1, 200)])
    assert len(page) < 15 * SHOWN


def test_an_unknown_trace_has_a_page_too() -> None:
    assert TRACE in Reader(missing_page(TRACE)[0]).words
