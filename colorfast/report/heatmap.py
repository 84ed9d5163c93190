"""The transfer matrix as a heat map: arms across, what is tested down; numbers in the cells, so
that colour says nothing alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import blended_transform_factory

from colorfast.analysis.transfer import Cell, Transfer
from colorfast.report.figures import (
    INK,
    LABEL_CHARACTERS,
    ON_PALE,
    ON_STRONG,
    STYLE,
    WIDTH,
    as_svg,
    inches,
)
from colorfast.report.findings import Findings
from colorfast.report.wording import clean, signed

LEFT, ACROSS, DOWN, BETWEEN = 1.98, 0.4, 0.19, 0.3
"""Inches: the names, a cell, a cell, what stands between two kinds of test."""
MOST = 15
"""Arms side by side; more stand below each other, by what they trained on."""
LEAST = 0.1
"""The scale reaches this far at least, so that noise is not shown in full colour."""
PLURAL = {
    "held-out trait": "held-out traits",
    "held-out domain": "held-out domains",
    "eval family": "eval families",
}
Rows = list[tuple[str, list[tuple[str, list[Cell | None]]]]]


def draw(f: Findings) -> dict[str, str]:
    """Nothing without an arm of some traits or domains."""
    if f.transfer is None:
        return {}
    with matplotlib.rc_context(STYLE):
        return {"transfer": as_svg(_figure(f.transfer))}


def _panels(t: Transfer) -> list[tuple[str, ...]]:
    if len(t.arms) <= MOST:
        return [t.arms]
    groups = itertools.groupby(t.arms, lambda arm: [b.kind for b in t.beyond if b.arm == arm])
    parts = [tuple(arms) for _, arms in groups]
    return [arms[k : k + MOST] for arms in parts for k in range(0, len(arms), MOST)]


def _rows(t: Transfer, arms: Sequence[str]) -> Rows:
    """By kind of test: (name, a cell an arm), the means over what was and was not trained on
    first."""
    found: Rows = []
    for kind, plural in PLURAL.items():
        rows: list[tuple[str, list[Cell | None]]] = []
        own = {b.arm: b for b in t.beyond if b.kind == kind and b.arm in arms}
        if own:
            rows.append(("mean, trained on", [own[a].inside if a in own else None for a in arms]))
            rows.append(
                ("mean, not trained on", [own[a].outside if a in own else None for a in arms])
            )
        for k, column in enumerate(t.columns):
            if column.kind == kind:
                rows.append(
                    (column.name + " (control)" * column.control, [t.cells[a][k] for a in arms])
                )
        if rows:
            found.append((plural, rows))
    return found


def _figure(t: Transfer) -> Figure:
    panels = [(arms, _rows(t, arms)) for arms in _panels(t)]
    head = 0.2 + 0.05 * max(map(len, t.arms))
    talls = [head + sum(BETWEEN + DOWN * len(rows) for _, rows in blocks) for _, blocks in panels]
    across = max(len(arms) for arms, _ in panels)
    beside = 0.1 + 0.045 * max(map(len, t.arms))  # the last name leans out
    figure = Figure(
        figsize=(max(WIDTH, LEFT + ACROSS * across + beside), sum(talls) + 0.1 * len(talls))
    )
    reach = max(
        [LEAST]
        + [
            abs(c.difference.value)
            for _, blocks in panels
            for _, rows in blocks
            for _, cells in rows
            for c in cells
            if c
        ]
    )
    for k, (arms, blocks) in enumerate(panels):
        width, height = figure.get_size_inches()
        top = sum(talls[:k]) + 0.1 * k
        right = width - LEFT - ACROSS * len(arms)
        _panel(
            inches(figure, LEFT, height - top - talls[k], right, top + head), arms, blocks, reach
        )
    return figure


def _panel(ax: Axes, arms: Sequence[str], blocks: Rows, reach: float) -> None:
    tall = sum(BETWEEN + DOWN * len(rows) for _, rows in blocks)
    ax.set(xlim=(0, len(arms)), ylim=(tall, 0), xticks=(), yticks=())
    for spine in ax.spines.values():
        spine.set_visible(False)
    for k, arm in enumerate(arms):
        ax.text(
            k + 0.4,
            BETWEEN * 0.6,
            clean(arm),
            rotation=45,
            rotation_mode="anchor",
            ha="left",
            va="bottom",
            fontsize=7.5,
        )
    y = 0.0
    for title, rows in blocks:
        _name(ax, y + BETWEEN * 0.62, title, "bold")
        y += BETWEEN
        for name, cells in rows:
            _name(ax, y + DOWN / 2, name)
            for k, cell in enumerate(cells):
                if cell:
                    _cell(ax, (k, y), cell, matplotlib.colormaps["RdBu"], reach)
            y += DOWN


def _name(ax: Axes, y: float, text: str, weight: str = "normal") -> None:
    text = clean(text)
    cut = text if len(text) <= LABEL_CHARACTERS else text[: LABEL_CHARACTERS - 1] + "…"
    where = blended_transform_factory(ax.figure.transFigure, ax.transData)
    ax.text(0.01, y, cut, transform=where, va="center", fontsize=8, color=INK, weight=weight)


def _cell(ax: Axes, at: tuple[float, float], cell: Cell, colours: Colormap, reach: float) -> None:
    """Blue is better than the baseline, red worse; a dot where the interval excludes zero, a frame
    where the arm trained on it."""
    strength = cell.difference.value / reach
    x, y = at
    ax.add_patch(
        Rectangle(
            at, 1, DOWN, facecolor=colours(0.5 + strength / 2), edgecolor="white", linewidth=0.8
        )
    )
    ink = ON_STRONG if abs(strength) > 0.55 else ON_PALE
    if cell.trained:
        ax.add_patch(
            Rectangle(
                (x + 0.03, y + 0.012), 0.94, DOWN - 0.024, fill=False, edgecolor=ink, linewidth=1.1
            )
        )
    ax.text(
        x + 0.46,
        y + DOWN / 2,
        signed(cell.difference.value, 2).replace("0.", ".", 1),
        ha="center",
        va="center",
        fontsize=6.5,
        color=ink,
    )
    if cell.difference.sign:
        ax.text(x + 0.86, y + DOWN / 2, "●", ha="center", va="center", fontsize=4, color=ink)
