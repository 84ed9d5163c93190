"""The first figure: what a dose gains and what it costs, side by side.

Held-out trait scores by each grader, over-refusal and capability, each by dose: differences from
the baseline with 95% intervals over items and seeds.
"""

from __future__ import annotations

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from colorfast.analysis.compare import CAPABILITY, OVER_REFUSAL
from colorfast.analysis.dose import Point, Series
from colorfast.evals.evaluate import HELDOUT, second_id
from colorfast.report.figures import COLOURS, FAINT, SOFT, STYLE, as_svg
from colorfast.report.findings import ArmFacts, Findings
from colorfast.report.wording import percent

WIDTH, HEIGHT = 8.6, 2.5
"""Inches."""


def draw(f: Findings) -> dict[str, str]:
    """The figure by its name; nothing without arms that differ in their dose alone."""
    if not f.series:
        return {}
    with matplotlib.rc_context(STYLE):
        return {"overview": as_svg(_figure(f))}


def _arms(f: Findings, series: Series) -> list[ArmFacts]:
    names = {name for _, name in series.arms}
    return [arm for arm in f.dosed if arm.name in names]


def _heldout(f: Findings, arms: list[ArmFacts], eval_id: str) -> list[Point]:
    """One point per arm of an eval made of the held-out scenarios."""
    row = next(r for r in f.rows if r.eval == eval_id)
    points = []
    for arm in arms:
        cell = row.cells[f.dosed.index(arm)]
        if cell is not None:
            points.append(Point(arm.dose, arm.name, cell.difference, cell.detectable))
    return points


def _price(f: Findings, arms: list[ArmFacts], what: str) -> list[Point]:
    """One point per arm of an explanation such as over-refusal; none where it was not measured."""
    points = []
    for arm in arms:
        row = next(r for r in f.explanations if r.arm == arm.name and r.what == what)
        if row.difference is not None:
            points.append(Point(arm.dose, arm.name, row.difference, row.detectable))
    return points


def _panel(ax: Axes, title: str, points: list[Point], color: str) -> None:
    places = range(
        1, len(points) + 1
    )  # doses evenly apart: the scale between them is no matter here
    ax.axhline(0, color=SOFT, linewidth=0.9, zorder=0)
    ax.plot([0], [0], "o", color=SOFT, markersize=4.5)
    for place, point in zip(places, points, strict=True):
        difference = point.difference
        ax.plot([place, place], [difference.low, difference.high], color=color, linewidth=1.6)
        face = color if difference.sign else "white"
        ax.plot([place], [difference.value], "o", color=color, markerfacecolor=face, markersize=6)
    ax.set_xticks([0, *places], ["0%", *(percent(point.dose) for point in points)])
    ax.set_xlim(-0.5, len(points) + 0.5)
    ax.set_title(title, fontsize=8.5)
    ax.tick_params(labelsize=8)
    ax.grid(axis="y", color=FAINT, linewidth=0.5)
    ax.set_axisbelow(True)


def _figure(f: Findings) -> Figure:
    arms = _arms(f, f.series[0])
    panels = [("Held-out trait score,\ngrader that rewards ↑", _heldout(f, arms, HELDOUT))]
    second = second_id(f.experiment.evaluation)
    if second:
        title = "Held-out trait score,\nanother grader ↑"
        panels.append((title, _heldout(f, arms, second)))
    panels.append(("Safe prompts\nrefused ↓", _price(f, arms, OVER_REFUSAL)))
    panels.append(("Capability\n↑", _price(f, arms, CAPABILITY)))
    measured = [(title, points) for title, points in panels if points]
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for k, (ax, (title, points)) in enumerate(zip(axes, measured, strict=True)):
        _panel(ax, title, points, COLOURS[k % len(COLOURS)])
    axes[0].set_ylabel("difference from the baseline", fontsize=8)
    figure.supxlabel("dose: share of the slots that hold a trait scenario", fontsize=8)
    return figure
