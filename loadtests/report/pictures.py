"""The report's pictures: curves over load, ratios of the two paths, stacks of parts. Each function returns SVG.

Rules: intervals are drawn wherever they are known; what is not known is not drawn; a log axis where loads double.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from loadtests.findings.intervals import Interval
from loadtests.report import drawing

BARS_MAX = 30  # in one picture; more cannot be read


@dataclass(frozen=True, slots=True)
class Curve:
    label: str
    path: str  # gives colour and marker
    points: Mapping[float, Interval]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Ratio:
    label: str
    ratio: Interval  # above 1: the right side is better
    winner: str  # path, or "" where no difference can be told


@dataclass(frozen=True, slots=True)
class Stack:
    label: str
    parts: Mapping[str, float]


def curves(
    name: str, several: Sequence[Curve], *, over: str, of: str, latencies: bool = True, steps: Sequence[str] = ()
) -> str:
    """`several` over a load or a factor; `steps` names the places of a factor that is no number."""

    def draw(axes: Axes) -> None:
        places: set[float] = set()
        for number, curve in enumerate(several):
            _curve(axes, curve, nudge=(number - (len(several) - 1) / 2) * 0.08 if steps else 0.0)
            places.update(curve.points)
        drawing.legend(axes)
        axes.set_xlabel(over)
        axes.set_ylabel(of)
        axes.grid(visible=False, axis="x")
        _places(axes, sorted(places), steps)
        formatted = drawing.durations if latencies else drawing.counts
        values = [i.mean for c in several for i in c.points.values() if math.isfinite(i.mean)]
        if not steps and values and min(values) > 0 and max(values) / min(values) > 5:
            drawing.logarithmic(axes, formatted)
        else:
            axes.set_ylim(bottom=0)
            formatted(axes.yaxis)

    return drawing.drawn(name, draw)


def ratios(name: str, several: Sequence[Ratio], *, left: str, right: str) -> str:
    """Each load's ratio with its interval, on a log scale around 1; hollow where no difference can be told."""
    shown = [ratio for ratio in several if math.isfinite(ratio.ratio.mean) and ratio.ratio.mean > 0][:BARS_MAX]

    def draw(axes: Axes) -> None:
        axes.axvline(1, color=drawing.COLOURS["soft"], linewidth=1)
        for place, ratio in enumerate(shown):
            of = ratio.ratio
            low, high = (of.low, of.high) if math.isfinite(of.low) else (of.mean, of.mean)
            colour = drawing.colour(ratio.winner) if ratio.winner else drawing.COLOURS["soft"]
            axes.plot([low, high], [place, place], color=colour, linewidth=2.4, solid_capstyle="round")
            look = drawing.marker(ratio.winner) if ratio.winner else "o"
            fill = colour if ratio.winner else drawing.COLOURS["card"]
            axes.plot([of.mean], [place], look, color=colour, markerfacecolor=fill, markersize=7)
        bounds = [bound for r in shown for bound in (r.ratio.low, r.ratio.high, r.ratio.mean) if math.isfinite(bound)]
        reach = min(bounds, default=1.0), max(bounds, default=1.0)
        margin = max((reach[1] / reach[0]) ** 0.12, 1.1)
        axes.set_xlim(min(reach[0], 1) / margin, max(reach[1], 1) * margin)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        drawing.marks(axes.yaxis, [float(place) for place in range(len(shown))], [ratio.label for ratio in shown])
        axes.tick_params(axis="y", labelcolor=drawing.COLOURS["ink"])
        axes.grid(visible=False, axis="y")
        _ratio_axis(axes)
        axes.spines["left"].set_visible(False)
        axes.set_title(f"◂ {left}", loc="left", fontsize=9, color=drawing.COLOURS["soft"])
        axes.set_title(f"{right} ▸", loc="right", fontsize=9, color=drawing.COLOURS["soft"])

    return drawing.drawn(name, draw, wide=True, height_in=0.9 + 0.26 * max(len(shown), 2))


def stacks(name: str, several: Sequence[Stack], *, of: str) -> str:
    """Bars of parts, one above the other, so that the parts of two paths can be compared."""
    shown = several[:BARS_MAX]
    parts = list(dict.fromkeys(part for stack in shown for part in stack.parts))

    def draw(axes: Axes) -> None:
        lefts = [0.0] * len(shown)
        look: dict[str, Any] = {"height": 0.62, "edgecolor": drawing.COLOURS["card"], "linewidth": 1}
        for number, part in enumerate(parts):
            widths = [max(stack.parts.get(part, 0.0), 0.0) for stack in shown]
            colour = drawing.PARTS[number % len(drawing.PARTS)]
            axes.barh(range(len(shown)), widths, left=lefts, color=colour, label=part, **look)
            lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
        drawing.legend(axes)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        drawing.marks(axes.yaxis, [float(place) for place in range(len(shown))], [stack.label for stack in shown])
        axes.tick_params(axis="y", labelcolor=drawing.COLOURS["ink"])
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(of)
        drawing.durations(axes.xaxis)

    return drawing.drawn(name, draw, height_in=1.1 + 0.38 * len(shown) + 0.16 * math.ceil(len(parts) / 2))


def _curve(axes: Axes, curve: Curve, nudge: float) -> None:
    known = sorted((x, of) for x, of in curve.points.items() if math.isfinite(of.mean))
    xs, ys = [x + nudge for x, _ in known], [of.mean for _, of in known]
    errors = [of.half_width if math.isfinite(of.half_width) else 0.0 for _, of in known]
    below = [
        min(error, y * 0.999) if y > 0 else 0.0 for error, y in zip(errors, ys, strict=True)
    ]  # a log axis has no 0
    colour = drawing.colour(curve.path)
    if curve.dashed:
        axes.plot(xs, ys, linestyle=(0, (4, 3)), color=colour, linewidth=1.4, label=curve.label)
        return
    look: dict[str, Any] = {
        "marker": drawing.marker(curve.path),
        "markeredgecolor": drawing.COLOURS["card"],
        "capsize": 2.5,
    }
    axes.errorbar(xs, ys, yerr=[below, errors], color=colour, elinewidth=1.2, label=curve.label, **look)


def _places(axes: Axes, places: list[float], steps: Sequence[str]) -> None:
    if steps:
        drawing.marks(axes.xaxis, [float(place) for place in range(len(steps))], list(steps))
        axes.set_xlim(-0.5, len(steps) - 0.5)
        return
    if places and places[0] > 0 and places[-1] / places[0] >= 4:
        axes.set_xscale("log")
    drawing.marks(axes.xaxis, places, [f"{place:,.10g}" for place in places])


def _ratio_axis(axes: Axes) -> None:
    """Marks at round ratios on both sides of 1, so far apart that they can be read."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    apart = math.log(high / low) * 0.09
    steps = [step for step in _RATIOS if low <= step <= high]
    places = [1.0]
    for step in sorted(steps, key=lambda step: abs(math.log(step))):
        if all(abs(math.log(step / place)) >= apart for place in places):
            places.append(step)
    places.sort()
    labels = ["equal" if place == 1 else f"{max(place, 1 / place):,.4g} times" for place in places]
    drawing.marks(axes.xaxis, places, labels)


_ABOVE = (1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1_000.0, 10_000.0)
_RATIOS = (*_ABOVE, *(1 / ratio for ratio in _ABOVE))
