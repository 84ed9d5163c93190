"""Heat maps: transfer between traits, domains and evals, and shifts along trait directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from colorfast.analysis.transfer import Cell, Transfer
from colorfast.interp.shift import MEASURES
from colorfast.report.figures import (
    ON_PALE,
    ON_STRONG,
    SOFT,
    WIDTH,
    Look,
    figure_of,
    fitted,
    legend,
    looks_of,
)
from colorfast.report.findings import Findings
from colorfast.report.interp import stands
from colorfast.report.wording import clean, signed

LEAST = 0.1
"""The scale reaches this far at least, so that noise is not shown in full color."""
PLURAL = {
    "held-out trait": "held-out traits",
    "held-out domain": "held-out domains",
    "eval family": "eval families",
}


@dataclass(frozen=True)
class Shade:
    """A cell: blue above zero, red below; its text, so that color says nothing alone."""

    value: float
    text: str
    framed: bool = False


Rows = Mapping[str, Sequence[Shade | None]]
"""By name: a cell for each column."""


def transfer(f: Findings) -> Figure | None:
    """Arms across, tests down, a panel for each kind of test. None without an arm of some traits
    or domains."""
    t = f.transfer
    if t is None:
        return None
    panels = {plural: rows for kind, plural in PLURAL.items() if (rows := _tests(t, kind))}
    count = sum(map(len, panels.values()))
    height = 0.19 * count + 0.3 * len(panels) + 0.06 * max(map(len, t.arms))
    figure, axes = figure_of(
        height,
        max(WIDTH, 2 + 0.4 * len(t.arms)),
        nrows=len(panels),
        sharex=True,
        height_ratios=list(map(len, panels.values())),
    )
    lines = chain.from_iterable(panel.values() for panel in panels.values())
    reach = max([LEAST] + [abs(s.value) for s in chain.from_iterable(lines) if s])
    for ax, (title, panel) in zip(axes, panels.items(), strict=True):
        _heat(ax, panel, t.arms, reach)
        ax.set_title(title, fontweight="bold")
    axes[0].tick_params(labeltop=True)
    axes[-1].tick_params(labelbottom=False)
    return figure


def _tests(t: Transfer, kind: str) -> Rows:
    """The means over what each arm was and was not trained on, then each test of a kind."""
    rows: dict[str, Sequence[Shade | None]] = {}
    means = {b.arm: b for b in t.beyond if b.kind == kind}
    if means:
        inside = {arm: b.inside for arm, b in means.items()}
        outside = {arm: b.outside for arm, b in means.items()}
        rows["mean, trained on"] = [_shade(inside.get(arm)) for arm in t.arms]
        rows["mean, not trained on"] = [_shade(outside.get(arm)) for arm in t.arms]
    for k, column in enumerate(t.columns):
        if column.kind == kind:
            name = f"{column.name} (control)" if column.control else column.name
            rows[name] = [_shade(t.cells[arm][k]) for arm in t.arms]
    return rows


def _shade(cell: Cell | None) -> Shade | None:
    if cell is None:
        return None
    dot = " ●" if cell.difference.sign else ""
    text = signed(cell.difference.value, 2).replace("0.", ".", 1)
    return Shade(cell.difference.value, f"{text}{dot}", cell.trained)


def _heat(ax: Axes, rows: Rows, columns: Sequence[str], reach: float) -> None:
    """The cells with their text, rows down. `reach`: the value with the strongest color."""
    colors = matplotlib.colormaps["RdBu"]
    for y, row in enumerate(rows.values()):
        for x, shade in enumerate(row):
            if shade is None:
                continue
            strength = shade.value / reach
            ink = ON_STRONG if abs(strength) > 0.55 else ON_PALE
            face = colors(0.5 + strength / 2)
            ax.add_patch(Rectangle((x, y), 1, 1, facecolor=face, edgecolor="white"))
            if shade.framed:
                ax.add_patch(Rectangle((x + 0.04, y + 0.06), 0.92, 0.88, fill=False, color=ink))
            style: Look = {"fontsize": 6.5, "ha": "center", "va": "center_baseline"}
            ax.text(x + 0.5, y + 0.5, shade.text, color=ink, **style)
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    ax.set_xticks([x + 0.5 for x in range(len(columns))], map(clean, columns), rotation=90)
    ax.set_yticks([y + 0.5 for y in range(len(rows))], fitted(rows))
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def shifts(f: Findings) -> Figure | None:
    """Traits down, arms across, one panel for each measure; blue towards the good replies. A dot:
    the shift stands."""
    measured = f.shifts.shifts if f.shifts else ()
    moved = {(s.measure, s.trait, s.arm): s for s in measured if s.against != "baseline"}
    if not moved:
        return None
    traits = list(dict.fromkeys(trait for _, trait, _ in moved))
    arms = list(dict.fromkeys(arm for _, _, arm in moved))
    reach = max(abs(s.shift.value) for s in moved.values()) or 1.0
    height = 0.2 * len(traits) + 0.06 * max(map(len, arms)) + 0.5
    figure, axes = figure_of(height, ncols=len(MEASURES), sharey=True)
    for ax, measure in zip(axes, MEASURES, strict=True):
        rows: dict[str, list[Shade | None]] = {trait: [] for trait in traits}
        for trait, row in rows.items():
            for arm in arms:
                s = moved.get((measure, trait, arm))
                row.append(Shade(s.shift.value, "●" if stands(s) else "") if s else None)
        _heat(ax, rows, arms, reach)
        ax.set_title(measure)
    figure.supxlabel(f"shift from the start model, strongest color: {reach:.2f} gaps", fontsize=8)
    return figure


def shift_and_behavior(f: Findings) -> Figure | None:
    """A point for each trait and dosed arm, one panel for each measure."""
    measured = f.shifts.shifts if f.shifts else ()
    rows = [s for s in measured if s.against == "baseline" and s.behaviour is not None]
    if not rows:
        return None
    figure, axes = figure_of(2.3, ncols=len(MEASURES), sharey=True)
    panels = dict(zip(MEASURES, axes, strict=True))
    names = {s.arm for s in rows}
    arms = {name: look for name, look in looks_of(f).items() if name in names}
    for s in rows:
        dot = s.shift.value, s.behaviour or 0.0
        panels[s.measure].plot(*dot, markersize=3.6, markeredgewidth=0, **arms[s.arm])
    for measure, ax in panels.items():
        ax.axhline(0, color=SOFT, linewidth=0.6, zorder=0)
        ax.axvline(0, color=SOFT, linewidth=0.6, zorder=0)
        ax.set_title(measure)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=3))
    axes[0].set_ylabel("held-out score")
    figure.supxlabel("shift from the baseline, in gaps", fontsize=8)
    legend(figure, arms, line=False)
    return figure
