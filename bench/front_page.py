"""The README's figure, from a finished run: `python bench/front_page.py RUN docs/quick/front.svg`.

Held-out trait scores by two graders, over-refusal and capability beside each other, each by dose:
differences from the baseline with 95% intervals over items and seeds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from colorfast.compare import CAPABILITY, OVER_REFUSAL
from colorfast.evaluate import HELDOUT, second_id
from colorfast.report.figures import COLOURS, FAINT, SOFT, STYLE, as_svg
from colorfast.report.findings import Findings, gather

WIDTH, HEIGHT = 8.6, 2.5
"""Inches."""


@dataclass(frozen=True)
class Point:
    """An arm's difference from the baseline, with its 95% interval."""

    dose: float
    difference: float
    low: float
    high: float


def heldout_points(f: Findings, eval_id: str) -> list[Point]:
    """One point per dosed arm of an eval made of the held-out scenarios."""
    row = next(r for r in f.rows if r.eval == eval_id)
    points = []
    for arm, cell in zip(f.dosed, row.cells, strict=True):
        if cell is not None:
            points.append(Point(arm.dose, cell.difference, cell.low, cell.high))
    return points


def price_points(f: Findings, what: str) -> list[Point]:
    """One point per dosed arm of an explanation such as over-refusal."""
    points = []
    for arm in f.dosed:
        row = next(r for r in f.explanations if r.arm == arm.name and r.what == what)
        if row.difference is not None and row.low is not None and row.high is not None:
            points.append(Point(arm.dose, row.difference, row.low, row.high))
    return points


def draw_panel(ax: Axes, title: str, points: list[Point], color: str) -> None:
    places = range(1, len(points) + 1)  # doses evenly apart: the scale between them is no matter here
    ax.axhline(0, color=SOFT, linewidth=0.9, zorder=0)
    ax.plot([0], [0], "o", color=SOFT, markersize=4.5)
    for place, point in zip(places, points, strict=True):
        is_clear = point.low > 0 or point.high < 0
        ax.plot([place, place], [point.low, point.high], color=color, linewidth=1.6)
        face = color if is_clear else "white"
        ax.plot([place], [point.difference], "o", color=color, markerfacecolor=face, markersize=6)
    ax.set_xticks([0, *places], ["0%", *(f"{point.dose:.0%}" for point in points)])
    ax.set_xlim(-0.5, len(points) + 0.5)
    ax.set_title(title, fontsize=8.5)
    ax.tick_params(labelsize=8)
    ax.grid(axis="y", color=FAINT, linewidth=0.5)
    ax.set_axisbelow(True)


def draw(f: Findings) -> Figure:
    panels = [("Held-out trait score\nby the rewarding grader ↑", heldout_points(f, HELDOUT))]
    second = second_id(f.experiment.evaluation)
    if second:
        title = "Held-out trait score\nby another grader ↑"
        panels.append((title, heldout_points(f, second)))
    panels.append(("Safe prompts refused\n(over-refusal) ↓", price_points(f, OVER_REFUSAL)))
    panels.append(("Capability\n(logic, GSM8K) ↑", price_points(f, CAPABILITY)))
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    for k, (ax, (title, points)) in enumerate(zip(axes, panels, strict=True)):
        draw_panel(ax, title, points, COLOURS[k % len(COLOURS)])
    axes[0].set_ylabel("difference from the baseline", fontsize=8)
    figure.supxlabel("dose: share of the training slots that hold a trait scenario", fontsize=8)
    return figure


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: python bench/front_page.py RUN OUT.svg")
    run, out = map(Path, sys.argv[1:])
    with matplotlib.rc_context(STYLE):
        out.write_text(as_svg(draw(gather(run))), encoding="utf-8")
    print(f"{out}: drawn from {run}")  # noqa: T201


if __name__ == "__main__":
    main()
