"""The style of all figures, and SVG text that is the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from colorfast.report.findings import Findings
from colorfast.report.wording import clean
from colorfast.types import Interval

WIDTH = 4.4
"""Inches."""
INK, SOFT, FAINT = "#222222", "#6b6b6b", "#d9d9d9"
ON_PALE, ON_STRONG = "#1a1a1a", "#fefefe"
"""Ink on the cell of a heat map: no page may change it, because the cell's color stays."""
BASELINE_COLOR = "#7a7a7a"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#b58900", "#332288")
MARKERS = ("o", "s", "D", "^", "v", "P")
THEME = {INK: "--ink", SOFT: "--soft", FAINT: "--hair", "#ffffff": "--paper"}
THEME |= {BASELINE_COLOR: "--arm"} | {color: f"--arm{k}" for k, color in enumerate(COLORS)}
"""What a page may replace in a figure, so that it can be read on a dark ground as well."""
STYLE: Any = {
    "font.size": 8.5,
    # ships with matplotlib, so that the layout is the same everywhere
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "text.parse_math": False,
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "grid.color": FAINT,
    "grid.linewidth": 0.4,
    "xaxis.labellocation": "right",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.solid_capstyle": "butt",
    "legend.frameon": False,
    "legend.borderaxespad": 0.2,
    "legend.handlelength": 1.2,
    "legend.columnspacing": 1.4,
    "svg.fonttype": "none",
    "svg.hashsalt": "colorfast",
}
LEAST, LARGEST = 1.04, 1.6
"""Pixels on a page for a point of a figure: letters can be read on a phone, and do not shout."""
LABEL = 31
"""Characters of a name in a margin."""
Look = Mapping[str, Any]
"""How matplotlib draws an arm: color and marker."""


def looks(arms: Sequence[str]) -> dict[str, Look]:
    """By arm, the baseline first: the same color and marker in every figure."""
    looks: dict[str, Look] = {}
    for k, name in enumerate(arms):
        color = COLORS[(k - 1) % len(COLORS)] if k else BASELINE_COLOR
        looks[name] = {"color": color, "marker": MARKERS[(k - 1) % len(MARKERS)] if k else "o"}
    return looks


def looks_of(f: Findings) -> dict[str, Look]:
    """By arm of a run."""
    return looks([arm.name for arm in f.arms])


def as_svg(figure: Figure) -> str:
    """The figure's text, the same on every platform, without the address of a DTD."""
    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(out, format="svg", metadata=nothing)
    return re.sub(r"<!DOCTYPE[^>]*>\s*", "", re.sub(r"[ \t]+\n", "\n", out.getvalue()))


def as_svgs(figures: Mapping[str, Figure | None]) -> dict[str, str]:
    """SVG text by name, of the figures that there are."""
    return {name: as_svg(figure) for name, figure in figures.items() if figure}


def styled() -> AbstractContextManager[None]:
    """Figures made and saved in this context have the report's style."""
    return matplotlib.rc_context(STYLE)


def inline(svg: str, name: str, title: str) -> str:
    """The figure for an HTML page: no prologue, ids that are unique on the page, colors and size by
    the page, a title for a screen reader."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\b(id="|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace('xlink:href="#', f'href="#{name}-')
    svg = re.sub(r' xmlns:xlink="[^"]*"| xmlns="[^"]*"', "", svg)
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda match: tint(match[0]), svg)
    opening = svg[: svg.index(">")]
    box = re.search(r'viewBox="0 0 ([0-9.]+) [^"]*"', opening)
    assert box
    width = float(box[1])
    size = f"min-width: {width * LEAST:.0f}px; width: {width * LARGEST:.0f}px"
    role = f'role="img" preserveAspectRatio="xMinYMin meet" aria-label="{escape(title)}"'
    return f'<svg {role} style="{size}" {box[0]}{svg[len(opening) :]}'


def tint(color: str) -> str:
    """A color that follows the page's scheme, where the page has one for it."""
    return f"var({THEME[color]}, {color})" if color in THEME else color


def figure_of(height: float, width: float = WIDTH, **grid: Any) -> tuple[Figure, list[Axes]]:
    """A figure in inches, with its panels row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(squeeze=False, **grid).flat)


def legend(figure: Figure, looks: Mapping[str, Look], line: bool = True) -> None:
    """Names above all panels, by a line or a marker."""
    handles = []
    for name, look in looks.items():
        style = {"color": look["color"]} if line else {**look, "linestyle": "", "markersize": 4.5}
        handles.append(Line2D([], [], label=clean(name), **style))
    columns = 1 if max(map(len, looks)) > LABEL else 4
    figure.legend(handles=handles, ncols=columns, loc="outside upper left")


def interval(ax: Axes, x: float, y: float, i: Interval, upright: bool, look: Look) -> None:
    """A 95% interval through its value; the mark is filled where zero lies outside."""
    ends = ([x, x], [i.low, i.high]) if upright else ([i.low, i.high], [y, y])
    ax.plot(*ends, color=look["color"], linewidth=1.1)
    face = look["color"] if i.sign else "white"
    ax.plot([x], [y], markerfacecolor=face, markersize=4.2, markeredgewidth=1.0, **look)


def fitted(names: Iterable[str]) -> list[str]:
    """Names for a margin. One that is too long loses its end; the table has it whole."""
    cleaned = map(clean, names)
    return [name if len(name) <= LABEL else f"{name[: LABEL - 1]}…" for name in cleaned]
