"""How the report's pictures look: matplotlib's SVG, made fit to stand inside a page.

Rules: colours are the page's (CSS variables), so that a picture follows light and dark; text stays text in the page's font;
ids are unique in the page; nothing is fetched; the same data gives the same bytes. A path has one colour and one marker
everywhere, from a palette that colour-blind people can tell apart.
"""

import hashlib
import io
import math
import re
from collections.abc import Callable
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from loadtests.findings import words

# stand-ins, which the page's variables replace in the finished SVG
_VARIABLES: Final = (
    *("ink", "soft", "line", "card", "grpc", "rest", "native", "direct-grpc", "direct-rest"),
    *("reference-grpc", "reference-rest", "other", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"),
)
COLOURS: Final = {name: f"#0000{number:02x}" for number, name in enumerate(_VARIABLES, start=1)}
PARTS: Final = tuple(COLOURS[f"p{number}"] for number in range(1, 9))
MARKERS: Final = {
    "grpc": "o",
    "rest": "s",
    "native": "^",
    "direct-grpc": "v",
    "direct-rest": "D",
    "reference-grpc": "P",
    "reference-rest": "X",
}
WIDTH_IN: Final = 4.9  # of a picture that shares a row; at its natural size its text is 9 pt
LABEL_MAX: Final = 44  # characters; longer ones would leave no room for what they label
WIDE_IN: Final = 9.4

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a $ in a name is a $
    "font.size": 9,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["soft"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["soft"],
    "ytick.labelcolor": COLOURS["soft"],
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
}


def colour(path: str) -> str:
    return COLOURS.get(path, COLOURS["other"])


def marker(path: str) -> str:
    return MARKERS.get(path, "o")


def drawn(name: str, draw: Callable[[Axes], None], *, wide: bool = False, height_in: float = 3.1) -> str:
    """What `draw` puts on the axes, as SVG. `name` is said to those who cannot see it, and must be unique in its page."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(WIDE_IN if wide else WIDTH_IN, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        draw(axes)
        raw = io.StringIO()
        figure.savefig(raw, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(raw.getvalue(), name)


def durations(axis: Any) -> None:
    """Ticks of microseconds as 1 ms, 50 ms, 2 s."""
    axis.set_major_formatter(FuncFormatter(lambda us, _: _round_duration(us)))
    if axis.get_scale() == "linear":
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def counts(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.10g}"))


def logarithmic(axes: Axes, formatted: Callable[[Any], None]) -> None:
    """A log scale upwards whose marks can be read: 1, 10, 100, with 2 and 5 between where they are few."""
    axes.set_yscale("log")
    low, high = sorted(axes.get_ylim())
    decades = math.log10(high / low) if low > 0 else 1
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.2 else (1,), numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    formatted(axes.yaxis)


def marks(axis: Any, places: list[float], labels: list[str]) -> None:
    axis.set_ticks(places, [words.shown(label, LABEL_MAX) for label in labels])
    axis.set_minor_locator(NullLocator())


def legend(axes: Axes) -> None:
    """Above the picture, in as many columns as fit."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        most = 2 if max(map(len, labels)) > 14 else 4
        columns = math.ceil(len(labels) / math.ceil(len(labels) / most))
        order = [
            place for first in range(columns) for place in range(first, len(labels), columns)
        ]  # it fills by column
        handles, labels = (
            [handles[place] for place in order],
            [words.shown(labels[place], LABEL_MAX) for place in order],
        )
        look: dict[str, Any] = {"loc": "outside upper left", "handlelength": 2.4, "columnspacing": 1.4, "borderpad": 0}
        axes.figure.legend(handles, labels, ncols=columns, **look)


def _round_duration(us: float) -> str:
    figure, _, unit = words.latency(us).partition(" ")
    return f"{float(figure):g} {unit}" if unit else figure


def _inline(svg: str, name: str) -> str:
    """Without what only a file of its own needs: declaration, doctype, metadata, namespaces, size in points."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', svg)
    label = "".join(f"&#{ord(c)};" if c in "<>&\"'" else c for c in name)
    svg = re.sub(
        r"<svg[^>]*>", lambda _: f'<svg {view[0] if view else ""} role="img" aria-label="{label}">', svg, count=1
    )
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r"(font: [^'\";]*?px) [^;\"]*", r"\1 var(--sans)", svg)
    for variable, stand_in in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    # matplotlib counts the groups of every picture from 1 (figure_1, axes_1)
    unique = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
    return re.sub(r'\bid="([\w.]+_\d+)"', rf'id="{unique}_\1"', svg)
