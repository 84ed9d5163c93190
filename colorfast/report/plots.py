"""Figures of what a run found: the first overview, every eval, power, and the dose response."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from colorfast.analysis.dose import Response
from colorfast.analysis.explanations import CAPABILITY, OVER_REFUSAL
from colorfast.report.figures import (
    COLORS,
    INK,
    SOFT,
    Look,
    figure_of,
    fitted,
    interval,
    legend,
    looks,
    looks_of,
)
from colorfast.report.findings import PAPERS_GAIN, Findings
from colorfast.report.wording import percent
from colorfast.types import Interval

GAP, HEADING, LINE = 0.6, 1.7, 0.135
"""Of the forest: lines between two evals and for the name of a family, and inches of a line."""
Differences = Mapping[float, Interval]
"""By dose."""


def overview(f: Findings) -> Figure | None:
    """What a dose gains and what it costs, side by side: held-out trait scores by each grader,
    over-refusal and capability, each by dose. None without arms that differ in their dose alone."""
    if not f.series:
        return None
    panels = {title: points for title, points in _panels(f).items() if points}
    figure, axes = figure_of(2.5, 8.6, ncols=len(panels), sharey=True)
    for k, (title, points) in enumerate(panels.items()):
        axes[k].set_title(title)
        _by_dose(axes[k], points, {"color": COLORS[k % len(COLORS)], "marker": "o"})
    axes[0].set_ylabel("difference from the baseline")
    figure.supxlabel("dose: share of the slots that hold a trait scenario", fontsize=8)
    return figure


def _panels(f: Findings) -> dict[str, Differences]:
    """By title: the differences of the arms that differ in their dose alone."""
    names = {name for _, name in f.series[0].arms}
    arms = [arm for arm in f.dosed if arm.name in names]
    panels: dict[str, Differences] = {}
    for row in f.rows:
        if row.all_held_out:
            grader = "another grader" if row.by_other_grader else "grader that rewards"
            cells = {arm.dose: row.cells[arm.name] for arm in arms}
            title = f"Held-out trait score,\n{grader} ↑"
            panels[title] = {dose: e.difference for dose, e in cells.items() if e}
    for what, title in ((OVER_REFUSAL, "Safe prompts\nrefused ↓"), (CAPABILITY, "Capability\n↑")):
        changes = {x.arm: x.difference for x in f.explanations if x.what == what}
        known = {arm.dose: changes.get(arm.name) for arm in arms}
        panels[title] = {dose: change for dose, change in known.items() if change}
    return panels


def _by_dose(ax: Axes, points: Differences, look: Look) -> None:
    """Doses are evenly apart."""
    _zero(ax, 0)
    for k, e in enumerate(points.values(), start=1):
        interval(ax, k, e.value, e, True, look)
    ax.set_xticks(range(len(points) + 1), map(percent, (0, *points)))
    ax.set_xlim(-0.5, len(points) + 0.5)


def _zero(ax: Axes, x: float) -> None:
    """The baseline, as a rule and a dot."""
    ax.axhline(0, color=SOFT, linewidth=0.8, zorder=0)
    ax.plot([x], [0], "o", color=SOFT, markersize=4)
    ax.grid(visible=False, axis="x")


def power(f: Findings) -> Figure | None:
    """How many of the counted evals would have shown a difference of a given size; the paper's mean
    gain as a rule."""
    detectable = {arm.name: f.detectable(arm) for arm in f.dosed}
    values = list(chain.from_iterable(detectable.values()))
    if not values:
        return None
    figure, (ax,) = figure_of(2.1)
    arms, evals = looks_of(f), sum(row.counted for row in f.rows)
    most = 1.04 * max(2 * PAPERS_GAIN, *values)
    for name, own in detectable.items():
        shares = [100 * k / evals for k in (*range(len(own) + 1), len(own))]
        ax.step([0.0, *own, most], shares, where="post", color=arms[name]["color"], linewidth=1.5)
    ax.axvline(PAPERS_GAIN, color=SOFT, linewidth=0.8, linestyle="--")
    ax.text(PAPERS_GAIN, 104, f" the paper's mean gain, {PAPERS_GAIN:.3f}", fontsize=7.5)
    ax.set(xlim=(0, most), ylim=(0, 103), yticks=(0, 50, 100))
    ax.yaxis.set_major_formatter(PercentFormatter())
    ax.set_xlabel("true difference that would be found four times in five, or a smaller one")
    legend(figure, {name: arms[name] for name in detectable})
    return figure


def forest(f: Findings) -> Figure | None:
    """Every eval and arm: the difference from the baseline with its 95% interval, families as
    groups."""
    if not f.estimates:
        return None
    families = dict.fromkeys(row.section for row in f.rows)
    lines = HEADING * len(families) + (GAP + len(f.dosed)) * len(f.rows)
    figure, (ax,) = figure_of(LINE * lines + 1)
    arms, names = looks_of(f), {}
    y, family = 0.0, ""
    for row in f.rows:
        if row.section != family:
            family = row.section
            names[y + HEADING / 2] = family
            y += HEADING
        names[y + len(f.dosed) / 2] = row.label if row.measure == "score" else "probability"
        for name, e in row.cells.items():
            if e:
                interval(ax, e.difference.value, y + 0.5, e.difference, False, arms[name])
            y += 1
        y += GAP
    ax.axvline(0, color=SOFT, linewidth=0.8, zorder=0)
    ax.set(ylim=(lines, 0))
    ax.set_yticks(list(names), fitted(names.values()))
    for text in ax.get_yticklabels():
        text.set_fontweight("bold" if text.get_text() in families else "normal")
    ax.spines["left"].set_visible(False)
    ax.grid(visible=False, axis="y")
    # above too: such a figure is longer than a screen
    ax.tick_params(labeltop=True, length=0)
    ax.set_xlabel("difference from the baseline (filled: 95% interval excludes 0)")
    legend(figure, {arm.name: arms[arm.name] for arm in f.dosed}, line=False)
    return figure


def response(f: Findings) -> Figure | None:
    """The held-out gain over the dose, and below it each price that was measured. None without
    arms that differ in their dose alone."""
    series = [s for s in f.series if s.evals]
    if not series:
        return None
    prices = dict.fromkeys(p.name for p in chain.from_iterable(s.prices for s in series))
    titles = ["held-out traits: difference from the baseline", *prices]
    figure, axes = figure_of(
        2 + 1.3 * len(titles), nrows=len(titles), sharex=True, height_ratios=[2] + [1] * len(prices)
    )
    doses = sorted({dose for dose, _ in chain.from_iterable(s.arms for s in series)})
    styles = list(looks(["", *(s.label for s in series)]).values())[1:]
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title[:1].upper() + title[1:])
        _zero(ax, _place(0.0, doses))
    for k, (s, look) in enumerate(zip(series, styles, strict=True)):
        for r in (s.evals[0], *s.prices):
            panel = axes[titles.index(r.name)] if r.name in prices else axes[0]
            _response(panel, r, doses, look, 0.02 * k)
    places = [_place(dose, doses) for dose in (0.0, *doses)]
    axes[-1].set_xticks(places, map(percent, (0.0, *doses)))
    axes[-1].set_xlabel("dose, share of the slots (filled: 95% interval excludes 0)")
    if len(series) > 1:
        legend(figure, {s.label: look for s, look in zip(series, styles, strict=True)})
    return figure


def _place(dose: float, doses: Sequence[float]) -> float:
    """Where a dose stands: by its logarithm; zero stands apart, to the left of the smallest."""
    if dose:
        return math.log10(dose)
    return math.log10(doses[0]) - max(0.3, 0.35 * math.log10(doses[-1] / doses[0]))


def _response(ax: Axes, r: Response, doses: Sequence[float], look: Look, aside: float) -> None:
    """The fit of a curve with its band, or a line through its points; the dose of half of the gain.
    `aside`: moves points of a second series that shares doses with the first."""
    color = look["color"]
    if r.fit:
        places = [_place(dose, doses) for dose, _, _, _ in r.fit.line]
        ax.plot(places, [value for _, value, _, _ in r.fit.line], color=color, linewidth=1.3)
        lows = [low for _, _, low, _ in r.fit.line if low is not None]
        highs = [high for _, _, _, high in r.fit.line if high is not None]
        if lows:
            ax.fill_between(places, lows, highs, color=color, alpha=0.15, linewidth=0)
    else:
        places = [_place(p.dose, doses) for p in r.points]
        ax.plot(places, [p.difference.value for p in r.points], color=color, linewidth=0.6)
    for p in r.points:
        x = _place(p.dose, doses) + aside
        interval(ax, x, p.difference.value, p.difference, True, look)
    half = r.half
    if half and r.fit:
        y = r.fit.line[-1][1] / 2
        ends = [_place(max(dose, doses[0] * 0.9), doses) for dose in (half.low, half.high)]
        ax.plot(ends, [y, y], color=INK, linewidth=0.8)
        ax.plot([_place(half.value, doses)], [y], "|", color=INK, markersize=9)
