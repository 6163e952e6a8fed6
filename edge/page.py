"""The page at "/": edge/page/index.html with its few blanks filled in.

Rules: nothing is loaded from elsewhere, and the content security policy allows nothing but what stands in the page.
"""

import base64
import hashlib
import html
import re
from functools import cache
from pathlib import Path


def page(asked: str, trace_url: str) -> str:
    """asked: the path of the edge that the page is served from, "grpc" or "rest"; trace_url: see Telemetry."""
    filled = {"{{path}}": asked, "{{trace_url}}": trace_url}
    text = _template()
    for blank, value in filled.items():
        text = text.replace(blank, html.escape(value))
    return text


def content_security_policy(text: str) -> str:
    """Allows the one style and the one script of the page, and calls to where it came from."""
    return "; ".join(
        [
            "default-src 'none'",
            "connect-src 'self'",
            "img-src data:",
            f"style-src {_allowed('style', text)}",
            f"script-src {_allowed('script', text)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


@cache
def _template() -> str:
    return Path(__file__).with_name("page").joinpath("index.html").read_text(encoding="utf-8")


def _allowed(tag: str, text: str) -> str:
    parts = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
