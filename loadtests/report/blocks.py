"""What a report is made of. A report is written once, as blocks, and rendered as HTML, Markdown or text for a terminal.

Rules: plain data; all text is plain text, which each renderer escapes in its own way; a figure is drawn last, by those
renderers that can show it, and always has a table or a sentence beside it that says the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What must not be overlooked."""

    text: str
    tone: str = "good"  # "good", "bad", or "plain"


@dataclass(frozen=True, slots=True)
class Points:
    """A list; each point is led by what it is about, which may be empty."""

    points: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and how far it may be off: "3.12" and "0.08"."""

    figure: str
    spread: str = ""

    def __str__(self) -> str:
        return f"{self.figure} ± {self.spread}" if self.spread else self.figure


Entry = str | Estimate


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    labels: int = 1  # so many columns are words, to the left; the others are figures, to the right
    by_first: bool = (
        False  # rows belong together by their first entry, which is empty where it is that of the row above
    )
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    title: str
    draw: Callable[[], str]  # the picture as SVG
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    figures: tuple[Figure, ...]


Block = Heading | Paragraph | Notice | Points | Table | Figures


def grouped(rows: Sequence[tuple[Entry, ...]]) -> tuple[tuple[Entry, ...], ...]:
    """`rows` with the first entry left empty where it is that of the row above."""
    seen: Entry | None = None
    out = []
    for first, *rest in rows:
        out.append(("" if first == seen else first, *rest))
        seen = first
    return tuple(out)
