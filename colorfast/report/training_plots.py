"""Figures over steps and strengths: learning curves, the dose, and attacks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from colorfast.report.figures import INK, Look, figure_of, fitted, legend, looks_of
from colorfast.report.findings import Curve, Findings
from colorfast.report.wording import clean, percent
from colorfast.types import TRAIT_SOURCE

PERCENT = FuncFormatter(lambda share, _: percent(round(share, 4)))


def curves(f: Findings) -> Figure:
    """Mean reward by step, a panel for each source, and the effective dose so far: raw points
    faint, a light smoothing over them."""
    sources = _sources(f)
    rows = math.ceil((len(sources) + 1) / 2)
    figure, axes = figure_of(0.7 + 1.35 * rows, nrows=rows, ncols=2, sharex=True)
    arms, width = looks_of(f), max(1.0, f.experiment.training.steps / 20)
    for ax, source in zip(axes, sources, strict=False):
        _steps(ax, "trait scenarios" if source == TRAIT_SOURCE else clean(source), 1.0)
        for arm in f.arms:
            curve, color = arm.rewards.get(source, ()), arms[arm.name]["color"]
            style = {"color": color, "alpha": 0.4, "markersize": 3.5, "markeredgewidth": 0}
            ax.plot(_first(curve), [value for _, value in curve], ".", **style)
            ax.plot(_first(curve), _smooth(curve, width), color=color, linewidth=1.4)
    doses = axes[len(sources)]
    shares = {arm.name: [share for _, share in arm.doses] for arm in f.arms}
    _steps(doses, "effective dose so far", max([0.05, *map(max, filter(None, shares.values()))]))
    doses.yaxis.set_major_formatter(PERCENT)
    for arm in f.arms:
        color = arms[arm.name]["color"]
        doses.plot(_first(arm.doses), shares[arm.name], color=color, linewidth=1.5)
    for ax in axes[len(sources) + 1 :]:
        ax.remove()
    figure.supxlabel("optimizer step", fontsize=8)
    legend(figure, arms)
    return figure


def _sources(f: Findings) -> list[str]:
    """The trait first."""
    names = set(chain.from_iterable(arm.rewards for arm in f.arms))
    return sorted(names, key=lambda name: (name != TRAIT_SOURCE, name))


def _first(curve: Curve) -> list[int]:
    return [step for step, _ in curve]


def _steps(ax: Axes, title: str, most: float) -> None:
    ax.set(title=title, ylim=(-0.03 * most, most * 1.03), yticks=(0, most / 2, most))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.tick_params(labelbottom=True)
    ax.grid(visible=False, axis="x")


def _smooth(curve: Curve, width: float) -> npt.NDArray[np.float64]:
    """A Gaussian-weighted mean over steps; some steps held no such prompt."""
    steps, values = np.array(curve, dtype=float).reshape(-1, 2).T
    weights = np.exp(-(((steps[:, None] - steps) / width) ** 2) / 2)
    return weights @ values / weights.sum(1)


def dose(f: Findings) -> Figure:
    """Above, the dose as planned and as weighed in the gradient; below, replies cut off at the
    cap, by source."""
    sources = _sources(f)
    names, arms = [arm.name for arm in f.arms], looks_of(f)
    rows = [len(names), len(sources)]
    figure, (doses, cut) = figure_of(0.27 * sum(rows) + 1.4, nrows=2, height_ratios=rows)
    for y, arm in enumerate(f.arms):
        look = arms[arm.name]
        if arm.effective is not None:
            doses.plot([arm.dose, arm.effective], [y, y], color=look["color"], linewidth=1.1)
            doses.plot([arm.effective], [y], "o", color=look["color"], markersize=5)
        doses.plot([arm.dose], [y], "|", color=INK, markersize=13, markeredgewidth=1.2)
        # arms that agree lie on top of each other: each later one is smaller, so that all show
        size = max(2.5, 7.0 - 1.6 * y)
        for u in arm.usage:
            place = [u.truncation], [sources.index(u.source)]
            cut.plot(*place, markersize=size, markeredgewidth=0, **look)
    most = max(max(arm.dose, arm.effective or 0.0) for arm in f.arms)
    _ladder(doses, "Dose: nominal (bar) and effective (dot)", names, max(0.05, most * 1.08))
    _ladder(cut, "Replies cut off at the length cap, by source", sources, 1.03)
    legend(figure, arms, line=False)
    return figure


def _ladder(ax: Axes, title: str, names: Sequence[str], most: float) -> None:
    """Horizontal rungs with a name each, shares from 0 to `most` across."""
    ax.set(title=title, xlim=(-0.02 * most, most), ylim=(len(names) - 0.5, -0.5))
    ax.set_yticks(range(len(names)), fitted(names))
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
    ax.xaxis.set_major_formatter(PERCENT)
    ax.spines["left"].set_visible(False)


def attack_curves(
    persistence: Mapping[str, Any], measure: str, looks: Mapping[str, Look]
) -> Figure | None:
    """Degradation curves by one measure: a panel for each attack, a line and a 95% band for each
    arm. None where no attack has a curve."""
    outcomes = [o for o in persistence["outcomes"] if o["measure"] == measure and o["curve"]]
    if not outcomes:
        return None
    attacks: dict[str, list[Mapping[str, Any]]] = {}
    for o in outcomes:
        attacks.setdefault(o["attack"], []).append(o)
    rows = math.ceil(len(attacks) / 3)
    figure, axes = figure_of(0.4 + 1.4 * rows, nrows=rows, ncols=3, sharey=True)
    for ax, (name, own) in zip(axes, attacks.items(), strict=False):
        lines = {o["arm"]: o["curve"] for o in own}
        lines[persistence["arms"][0]] = own[0]["baseline_curve"]
        steps = range(len(own[0]["strengths"]))
        for arm, curve in lines.items():
            color, values = looks[arm]["color"], [v["value"] for v in curve]
            ends = [v["low"] for v in curve], [v["high"] for v in curve]
            ax.fill_between(steps, *ends, color=color, alpha=0.15, linewidth=0)
            ax.plot(steps, values, "o-", color=color, linewidth=1.3, markersize=2.2)
        ax.set_title(clean(name), fontsize=6.8)
        ax.set_xticks(steps, map(str, own[0]["strengths"]))
        ax.set_ylim(bottom=0)
        ax.grid(visible=False, axis="x")
    for ax in axes[len(attacks) :]:
        ax.remove()
    legend(figure, {arm: looks[arm] for arm in persistence["arms"]})
    return figure
