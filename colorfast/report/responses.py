"""The dose-response figure: the held-out gain over the dose, and what it costs."""

from __future__ import annotations

import math

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from colorfast.analysis.dose import Response, Series
from colorfast.report.figures import (
    COLOURS,
    FAINT,
    INK,
    MARKERS,
    SOFT,
    STYLE,
    WIDTH,
    as_svg,
    inches,
)
from colorfast.report.findings import Findings
from colorfast.report.wording import clean, percent

TALL, LOW, GAP = 1.9, 0.85, 0.55
"""Inches: the held-out panel, a price's, and what lies between."""
APART = 0.35
"""How far left of the smallest dose zero stands, in decades, for each decade of doses."""


def draw(f: Findings) -> dict[str, str]:
    """Nothing without a series."""
    if not f.series or not f.series[0].evals:
        return {}
    with matplotlib.rc_context(STYLE):
        return {"response": as_svg(_figure(f.series))}


def _figure(series: tuple[Series, ...]) -> Figure:
    """Panels one below the other: held-out gain, then each price that was measured."""
    names = list(dict.fromkeys(p.name for s in series for p in s.prices))
    foot, head = 0.5, 0.3 + 0.17 * len(series) * (len(series) > 1)
    height = head + TALL + (GAP + LOW) * len(names) + foot
    figure = Figure(figsize=(WIDTH, height))
    doses = sorted({dose for s in series for dose, _ in s.arms})
    panels = [
        (
            "Held-out traits: difference from the baseline",
            inches(figure, 0.62, height - head - TALL, 0.15, head),
        )
    ]
    for k, name in enumerate(names):
        top = head + TALL + GAP + k * (GAP + LOW)
        panels.append(
            (name[:1].upper() + name[1:], inches(figure, 0.62, height - top - LOW, 0.15, top))
        )
    for title, ax in panels:
        _axes(ax, title, doses)
    for k, one in enumerate(series):
        for response in (one.evals[0], *one.prices):
            ax = panels[0 if response is one.evals[0] else 1 + names.index(response.name)][1]
            _curve(ax, response, doses, k)
    panels[-1][1].set_xlabel(
        "dose, share of the slots (filled: 95% interval excludes 0)", fontsize=8, loc="right"
    )
    if len(series) > 1:
        handles = [
            panels[0][1].plot([], [], color=COLOURS[k % len(COLOURS)], label=clean(s.label))[0]
            for k, s in enumerate(series)
        ]
        figure.legend(handles=handles, loc="upper left", borderaxespad=0.2, handlelength=1.2)
    return figure


def _place(dose: float, doses: list[float]) -> float:
    """Where a dose stands: by its logarithm, and zero apart."""
    return (
        math.log10(dose)
        if dose
        else math.log10(doses[0]) - max(0.3, APART * math.log10(doses[-1] / doses[0]))
    )


def _axes(ax: Axes, title: str, doses: list[float]) -> None:
    every = [0.0, *doses]
    at = [_place(d, doses) for d in every]
    ax.set(
        title=title,
        xticks=at,
        xticklabels=[percent(d) for d in every],
        xlim=(at[0] - 0.1, at[-1] + 0.1),
    )
    ax.tick_params(labelsize=7.5)
    ax.axhline(0, color=SOFT, linewidth=0.8, zorder=0)
    ax.axvline(
        (at[0] + at[1]) / 2, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2))
    )  # no scale leads from here to zero
    ax.grid(axis="y", color=FAINT, linewidth=0.4)
    ax.set_axisbelow(True)
    ax.plot([at[0]], [0], "o", color=SOFT, markersize=4)


def _curve(ax: Axes, response: Response, doses: list[float], k: int) -> None:
    colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
    if response.fit:
        x = [_place(d, doses) for d, *_ in response.fit.line]
        band = [
            (low, high)
            for _, _, low, high in response.fit.line
            if low is not None and high is not None
        ]
        if band:
            ax.fill_between(
                x,
                [low for low, _ in band],
                [high for _, high in band],
                color=colour,
                alpha=0.15,
                linewidth=0,
            )
        ax.plot(x, [v for _, v, _, _ in response.fit.line], color=colour, linewidth=1.3)
    else:
        ax.plot(
            [_place(p.dose, doses) for p in response.points],
            [p.difference.value for p in response.points],
            color=colour,
            linewidth=0.6,
        )
    for p in response.points:
        x0 = _place(p.dose, doses) + 0.02 * k  # beside each other where two series share a dose
        ax.plot(
            [x0, x0],
            [p.difference.low, p.difference.high],
            color=colour,
            linewidth=1.1,
            solid_capstyle="butt",
        )
        fill = colour if p.difference.sign else "white"
        ax.plot(
            [x0],
            [p.difference.value],
            marker,
            color=colour,
            markerfacecolor=fill,
            markersize=4.2,
            markeredgewidth=1.0,
        )
    _half(ax, response, doses)


def _half(ax: Axes, response: Response, doses: list[float]) -> None:
    """The dose of half of the gain with its interval, on the curve."""
    half = response.half.dose
    if half is None or response.fit is None:
        return
    y = response.fit.line[-1][1] / 2
    left, middle, right = (
        _place(max(d, doses[0] * 0.9), doses) for d in (half.low, half.value, half.high)
    )
    ax.plot([left, right], [y, y], color=INK, linewidth=0.8)
    ax.plot([middle], [y], "|", color=INK, markersize=9, markeredgewidth=1.2)
