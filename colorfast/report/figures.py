"""Figures as SVG text, drawn from Findings alone: the same bytes every time."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from colorfast.report.findings import PAPERS_GAIN, ArmFacts, Curve, Findings, Row
from colorfast.report.wording import clean, clear, percent
from colorfast.types import TRAIT_SOURCE, Estimate

WIDTH = 4.4
INK, SOFT, FAINT = "#222222", "#6b6b6b", "#d9d9d9"
BASELINE_COLOUR = "#7a7a7a"
ON_PALE, ON_STRONG = "#1a1a1a", "#fefefe"
"""Ink on the cell of a heat map: no page may change it, because the cell's colour stays."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#b58900", "#332288")
MARKERS = ("o", "s", "D", "^", "v", "P")
THEME = {
    INK: "--ink",
    SOFT: "--soft",
    FAINT: "--hair",
    "#ffffff": "--paper",
    BASELINE_COLOUR: "--arm",
}
THEME |= {colour: f"--arm{k}" for k, colour in enumerate(COLOURS)}
"""What a page may replace in a figure, so that it can be read on a dark ground as well."""
STYLE: Any = {
    "font.size": 8.5,
    "font.family": (
        "DejaVu Sans"
    ),  # ships with matplotlib, so that the layout is the same everywhere
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.unicode_minus": True,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "colorfast",
}


def draw(f: Findings) -> dict[str, str]:
    """Every figure there is data for, by name."""
    with matplotlib.rc_context(STYLE):
        figures = {"curves": as_svg(_curves(f)), "dose": as_svg(_dose(f))}
        if any(cell for row in f.rows for cell in row.cells):
            figures["forest"] = as_svg(_forest(f))
        if any(f.detectable(arm) for arm in f.dosed):
            figures["power"] = as_svg(_power(f))
    return figures


def inline(svg: str, name: str, title: str) -> str:
    """For an HTML page: no prologue, ids that are unique on the page, colours and size by the page,
    named for a screen reader."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r'\b(id=")|(xlink:href="#)|(url\(#)', lambda m: m[0].replace("xlink:", "") + f"{name}-", svg
    )
    svg = re.sub(r' xmlns:xlink="[^"]*"| xmlns="[^"]*"', "", svg)
    svg = re.sub("#[0-9a-f]{6}\\b", lambda m: tint(m[0]), svg)
    wide = float(re.search(r'viewBox="0 0 ([0-9.]+)', svg)[1])  # type: ignore[index]
    size = r'<svg ((?:(?!\bwidth=|\bheight=)[^>])*?)\b(?:width|height)="[^"]*" ?'
    for _ in range(2):
        svg = re.sub(size, r"<svg \1", svg, count=1)
    room = f"min-width: {wide * LEAST:.0f}px; width: {wide * LARGEST:.0f}px"
    return svg.replace(
        "<svg ",
        f'<svg role="img" preserveAspectRatio="xMinYMin meet" aria-label="{escape(title)}"'
        f' style="{room}" ',
        1,
    )


LEAST, LARGEST = 1.04, 1.6
"""Pixels on a page for a point of a figure: below, its letters could not be read on a phone; above,
they shout."""


def tint(colour: str) -> str:
    """A colour that follows the page's scheme, where the page has one for it."""
    return f"var({THEME[colour]}, {colour})" if colour in THEME else colour


def as_svg(figure: Figure) -> str:
    """The figure's text, the same on every platform."""
    out = io.StringIO()
    figure.savefig(
        out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    # the same file on every platform, without the address of a DTD
    return re.sub(r"<!DOCTYPE[^>]*>\s*", "", re.sub(r"[ \t]+\n", "\n", out.getvalue()))


def _look(f: Findings, arm: ArmFacts) -> tuple[str, str]:
    """(colour, marker) of an arm, the same in every figure."""
    i = f.arms.index(arm) - 1
    return (
        (BASELINE_COLOUR, "o") if i < 0 else (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
    )


def look(f: Findings) -> dict[str, str]:
    """Colour by arm name, for the page's tables."""
    return {arm.name: _look(f, arm)[0] for arm in f.arms}


def inches(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with margins in inches, so that labels keep their room at any height."""
    width, height = figure.get_size_inches()
    return figure.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    )


def _legend(figure: Figure, f: Findings, arms: Sequence[ArmFacts], line: bool) -> None:
    with _handles(figure) as ax:
        for arm in arms:
            colour, marker = _look(f, arm)
            shape = (
                {"linestyle": "-"}
                if line
                else {"linestyle": "", "marker": marker, "markersize": 4.5}
            )
            ax.plot([], [], color=colour, label=clean(arm.name), **shape)
        figure.legend(
            *ax.get_legend_handles_labels(),
            loc="upper left",
            ncols=4,
            borderaxespad=0.2,
            handlelength=1.2,
            columnspacing=1.4,
        )


@contextmanager
def _handles(figure: Figure) -> Iterator[Axes]:
    """Axes that exist only to make legend entries."""
    ax = figure.add_axes((0, 0, 1, 1))
    yield ax
    ax.remove()


def _smooth(curve: Curve, width: float) -> list[float]:
    """A Gaussian-weighted mean over steps; it copes with the steps that held no such prompt."""
    smoothed = []
    for step, _ in curve:
        weights = [math.exp(-(((other - step) / width) ** 2) / 2) for other, _ in curve]
        smoothed.append(
            sum(w * value for w, (_, value) in zip(weights, curve, strict=True)) / sum(weights)
        )
    return smoothed


PANEL, ACROSS = 0.95, 2
"""Of the learning curves: inches of a panel's height, panels side by side."""


def _curves(f: Findings) -> Figure:
    """Mean reward by step, a panel a source, and the effective dose so far: raw points faint, a
    light smoothing over them."""
    sources = sorted(
        {source for arm in f.arms for source in arm.rewards}, key=lambda s: (s != TRAIT_SOURCE, s)
    )
    deep = math.ceil((len(sources) + 1) / ACROSS)
    tall = 0.75 + deep * (PANEL + 0.42)
    figure = Figure(figsize=(WIDTH, tall))
    grid = {
        "left": 0.075,
        "right": 0.985,
        "top": 1 - 0.62 / tall,
        "bottom": 0.48 / tall,
        "hspace": 0.42 / PANEL,
        "wspace": 0.24,
    }
    panels = list(figure.subplots(deep, ACROSS, sharex=True, squeeze=False, gridspec_kw=grid).flat)
    for ax, source in zip(panels, sources, strict=False):
        _panel(ax, "trait scenarios" if source == TRAIT_SOURCE else clean(source), 1.0)
        for arm in f.arms:
            _learning(ax, f, arm, arm.rewards.get(source, ()))
    doses, *empty = panels[len(sources) :]
    most = max([value for arm in f.arms for _, value in arm.doses] + [0.05])
    _panel(doses, "effective dose so far", most)
    doses.yaxis.set_major_formatter(lambda share, _: percent(round(share, 4)))
    for arm in f.arms:
        doses.plot(
            *zip(*arm.doses, strict=True) if arm.doses else ([], []),
            color=_look(f, arm)[0],
            linewidth=1.5,
        )
    for ax in empty:
        ax.remove()
    for ax in panels[len(sources) + 1 - ACROSS : len(sources) + 1]:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel("optimizer step", fontsize=7.5)
    _legend(figure, f, f.arms, line=True)
    return figure


def _panel(ax: Axes, title: str, most: float) -> None:
    ax.set(ylim=(-0.03 * most, most * 1.03), yticks=(0, most / 2, most))
    ax.set_title(title, fontsize=8)
    ax.tick_params(labelsize=7)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.grid(axis="y", color=FAINT, linewidth=0.5)
    ax.set_axisbelow(True)


def _learning(ax: Axes, f: Findings, arm: ArmFacts, curve: Curve) -> None:
    colour, steps = _look(f, arm)[0], [step for step, _ in curve]
    ax.plot(
        steps,
        [value for _, value in curve],
        ".",
        color=colour,
        alpha=0.4,
        markersize=3.5,
        markeredgewidth=0,
    )
    ax.plot(
        steps,
        _smooth(curve, max(1.0, f.experiment.training.steps / 20)),
        color=colour,
        linewidth=1.4,
    )


def _power(f: Findings) -> Figure:
    """How many of the counted evals would have shown a difference of a given size; the paper's mean
    gain as a rule."""
    figure = Figure(figsize=(WIDTH, 2.1))
    ax = inches(figure, 0.42, 0.48, 0.1, 0.42)
    evals = sum(row.counted for row in f.rows)
    most = 1.04 * max([PAPERS_GAIN * 2, *(v for arm in f.dosed for v in f.detectable(arm))])
    for arm in f.dosed:
        found = f.detectable(arm)
        shares = [100 * k / evals for k in (*range(len(found) + 1), len(found))]
        ax.step([0.0, *found, most], shares, where="post", color=_look(f, arm)[0], linewidth=1.5)
    ax.axvline(PAPERS_GAIN, color=SOFT, linewidth=0.8, linestyle=(0, (3, 2)))
    ax.text(
        PAPERS_GAIN,
        104,
        f" the paper's mean gain, {PAPERS_GAIN:.3f}",
        fontsize=7.5,
        va="bottom",
        ha="left",
        color=INK,
    )
    ax.set(ylim=(0, 103), yticks=(0, 50, 100), yticklabels=("0%", "50%", "100%"))
    ax.set_xlim(0, most)
    ax.set_xlabel(
        "true difference that would be found four times in five, or a smaller one",
        fontsize=8,
        loc="right",
    )
    ax.grid(color=FAINT, linewidth=0.4)
    ax.set_axisbelow(True)
    _legend(figure, f, f.dosed, line=True)
    return figure


ROW, ARM_ROW, HEAD = 0.08, 0.135, 0.25
"""Inches: what stands between two evals, an arm's line, the name of a family."""


def _forest(f: Findings) -> Figure:
    """Every eval and arm: the difference from the baseline with its 95% interval, families as
    groups."""
    step = ROW + ARM_ROW * len(f.dosed)
    tall = sum(HEAD + step * len(rows) for _, _, rows in f.sections)
    figure = Figure(figsize=(WIDTH, tall + 1.05))
    ax = inches(figure, 1.98, 0.5, 0.08, 0.55)
    y = 0.0
    for family, control, rows in f.sections:
        _label(
            ax,
            y + HEAD * 0.62,
            0.0,
            clean(family) + (" (control)" if control else ""),
            weight="bold",
        )
        y += HEAD
        for row in rows:
            _forest_row(ax, f, row, y)
            y += step
        ax.axhline(y + ROW * 0.2, color=FAINT, linewidth=0.5)
    ax.axvline(0, color=SOFT, linewidth=0.8, zorder=0)
    reach = [
        v
        for row in f.rows
        for e in row.cells
        if e
        for v in (e.difference.low, e.difference.high, 0.0)
    ]
    pad = max(0.02, 0.04 * (max(reach) - min(reach)))
    ax.set(ylim=(tall, 0), xlim=(min(reach) - pad, max(reach) + pad), yticks=())
    ax.spines["left"].set_visible(False)
    ax.tick_params(
        labelsize=7.5, labeltop=True, length=2
    )  # above too: such a figure is longer than a screen
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6))
    ax.grid(axis="x", color=FAINT, linewidth=0.4)
    ax.set_axisbelow(True)
    ax.set_xlabel(
        "difference from the baseline (filled: 95% interval excludes 0)", fontsize=8, loc="right"
    )
    _legend(figure, f, f.dosed, line=False)
    return figure


def _forest_row(ax: Axes, f: Findings, row: Row, y: float) -> None:
    middle = y + (ROW + ARM_ROW * len(f.dosed)) / 2
    name = f"{row.label}" if row.measure == "score" else "probability"
    _label(
        ax,
        middle,
        0.08 if row.measure == "score" else 0.2,
        clean(name),
        color=INK if row.measure == "score" else SOFT,
    )
    for i, (arm, e) in enumerate(zip(f.dosed, row.cells, strict=True)):
        if e is not None:
            _mark(ax, e, y + ROW / 2 + ARM_ROW * (i + 0.5), *_look(f, arm))


def _mark(ax: Axes, e: Estimate, y: float, colour: str, marker: str) -> None:
    ax.plot(
        [e.difference.low, e.difference.high],
        [y, y],
        color=colour,
        linewidth=1.1,
        solid_capstyle="butt",
    )
    filled = colour if clear(e) else "white"
    ax.plot(
        [e.difference.value],
        [y],
        marker=marker,
        color=colour,
        markerfacecolor=filled,
        markersize=4.2,
        markeredgewidth=1.0,
    )


LABEL_CHARACTERS = 31


def _label(
    ax: Axes, y: float, indent: float, text: str, color: str = INK, weight: str = "normal"
) -> None:
    """At the figure's left edge, beside its row; a name too long for the margin loses its end (the
    table has it whole)."""
    where = blended_transform_factory(ax.figure.transFigure, ax.transData)
    cut = text if len(text) <= LABEL_CHARACTERS else text[: LABEL_CHARACTERS - 1] + "…"
    ax.text(
        0.01 + indent / WIDTH,
        y,
        cut,
        transform=where,
        va="center",
        fontsize=8,
        color=color,
        weight=weight,
    )


def _dose(f: Findings) -> Figure:
    """Above, the dose as meant and as weighed in the gradient; below, replies cut off at the cap,
    by source."""
    sources = sorted(
        {u.source for arm in f.arms for u in arm.usage}, key=lambda s: (s != "trait", s)
    )
    heights = (0.27 * len(f.arms), 0.27 * len(sources))
    figure = Figure(figsize=(WIDTH, sum(heights) + 2.0))
    doses = inches(figure, 1.45, 1.1 + heights[1], 0.2, 0.6)
    cut = inches(figure, 1.45, 0.3, 0.2, 1.7 + heights[0])
    for y, arm in enumerate(f.arms):
        colour, _ = _look(f, arm)
        if arm.effective is not None:
            doses.plot([arm.dose, arm.effective], [y, y], color=colour, linewidth=1.1)
            doses.plot([arm.effective], [y], "o", color=colour, markersize=5)
        doses.plot([arm.dose], [y], "|", color=INK, markersize=13, markeredgewidth=1.2)
        for usage in arm.usage:
            cut.plot([usage.truncation], [sources.index(usage.source)], **_dot(f, arm))
    most = max([a.dose for a in f.arms] + [a.effective or 0.0 for a in f.arms])
    _ladder(
        doses,
        "Dose: nominal (bar) and effective (dot)",
        [clean(a.name) for a in f.arms],
        max(0.05, most * 1.08),
    )
    _ladder(cut, "Replies cut off at the length cap, by source", [clean(s) for s in sources], 1.03)
    _legend(figure, f, f.arms, line=False)
    return figure


def _dot(f: Findings, arm: ArmFacts) -> dict[str, Any]:
    """Arms that agree lie on top of each other: each later one is smaller, so that all show."""
    colour, marker = _look(f, arm)
    size = max(2.5, 7.0 - 1.6 * f.arms.index(arm))
    return {"marker": marker, "color": colour, "markersize": size, "markeredgewidth": 0}


def _ladder(ax: Axes, title: str, names: Sequence[str], most: float) -> None:
    """Horizontal rungs with a name each, shares from 0 to `most` across."""
    ax.set(
        ylim=(len(names) - 0.5, -0.5),
        xlim=(-0.02 * most, most),
        yticks=range(len(names)),
        yticklabels=names,
    )
    ax.set_title(title, x=-1.4 / (WIDTH - 1.65), pad=8)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
    ax.xaxis.set_major_formatter(lambda share, _: percent(share))
    ax.spines["left"].set_visible(False)
    ax.grid(axis="both", color=FAINT, linewidth=0.4)
    ax.set_axisbelow(True)
