"""Dose-response curves: a saturating curve through the gains, and the dose with half of the gain.

`tests/analysis/test_dose.py` simulates known truths; docs/statistics.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.stats import chi2

from colorfast.stats.intervals import Mean, Table, rng
from colorfast.types import Interval

Vector = npt.NDArray[np.float64]
FEWEST = 3
"""Doses above 0 that a curve with two parameters needs, so that one can contradict it."""
MISFIT = 0.01
"""A saturating curve is rejected when the p of its misfit lies below this."""
GRID, BEYOND = 300, 30.0
"""Half-saturations tried, from the smallest dose / BEYOND to the largest dose x BEYOND."""
DRAWS = 1000
"""Of the parametric bootstrap."""
LINE = 60
"""Points of a drawn curve."""


@dataclass(frozen=True)
class Gains:
    """Differences from one baseline at rising doses, the covariance of their errors, and its
    degrees of freedom."""

    doses: Vector
    means: Vector
    covariance: Table
    df: float


class CurvePoint(NamedTuple):
    """A point of a curve with its pointwise 95% band; a monotone fit has no band."""

    dose: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Fit:
    """`half`: the dose with half of the gain of the largest dose (ED50); its interval may begin
    below the smallest dose tried. None with a `reason` where it is not identified. `misfit`: p that
    a saturating curve strays this far from the means."""

    kind: Literal["saturating", "monotone"]
    line: tuple[CurvePoint, ...]
    half: Interval | None
    misfit: float
    reason: str = ""


def gains(doses: Sequence[float], tables: Sequence[Table], means: Sequence[Mean]) -> Gains:
    """What a fit needs, from tables [seeds, items] of differences and their means.

    Errors are correlated, as all differences share a baseline and its items. The correlation is
    read from the items where all tables have the same shape, else it is one half (equal noise in
    every arm). An arm in which no item moved has the error of one item.
    """
    errors = np.array([max(m.error, 1 / t.size) for m, t in zip(means, tables, strict=True)])
    correlation = np.full((len(tables), len(tables)), 0.5)
    if len({table.shape for table in tables}) == 1:
        columns = np.array([table.mean(0) - table.mean() for table in tables])
        size = np.sqrt((columns**2).sum(1))
        size[size == 0] = 1.0
        # shrunk, so that few items cannot make it singular
        correlation = 0.9 * (columns @ columns.T) / np.outer(size, size)
    np.fill_diagonal(correlation, 1.0)
    covariance = correlation * np.outer(errors, errors)
    values = np.array([m.value for m in means])
    return Gains(np.array(doses), values, covariance, min(m.df for m in means))


class _Curves:
    """Saturating curves `top x d (c + D) / (D (c + d))` for a grid of half-saturations c, where D
    is the largest dose and `top` the gain there: Emax, or Hill with exponent 1, from zero at dose
    0. The best `top` for a given c has a closed form."""

    def __init__(self, g: Gains) -> None:
        self.largest = float(g.doses[-1])
        self.c = np.geomspace(g.doses[0] / BEYOND, g.doses[-1] * BEYOND, GRID)
        self.root = np.linalg.cholesky(g.covariance)
        self.shape = np.linalg.solve(self.root, self.at(g.doses).T)
        # from near 0 to half of the largest dose, a straight line
        self.halves = self.c * self.largest / (2 * self.c + self.largest)

    def at(self, doses: Vector) -> Table:
        """[c, doses], one at the largest dose."""
        c = self.c[:, None]
        return doses / (c + doses) * (c + self.largest) / self.largest

    def best(self, whitened: Table) -> tuple[npt.NDArray[np.intp], Vector, Vector]:
        """For each row of whitened means: the index of the best c, its `top`, and the sum of
        squares left."""
        along, size = whitened @ self.shape, (self.shape**2).sum(0)
        k = (along**2 / size).argmax(1)
        row = np.arange(len(k))
        return k, along[row, k] / size[k], (whitened**2).sum(1) - along[row, k] ** 2 / size[k]


def fitted(g: Gains, name: str) -> Fit | None:
    """The curve through the gains, by generalized least squares. None with fewer than FEWEST doses,
    or when the difference at the largest dose is not clear of zero: nothing has no half.

    Intervals by a parametric bootstrap (random stream `dose-NAME`): the means are drawn again from
    their estimated error over items and seeds, by Student's t. Where the saturating curve misfits,
    a monotone one replaces it, without an interval.
    """
    top = Mean(float(g.means[-1]), float(np.sqrt(g.covariance[-1, -1])), g.df).interval()
    if len(g.doses) < FEWEST or not top.sign:
        return None
    curves = _Curves(g)
    center = np.linalg.solve(curves.root, g.means)
    (k,), (scale,), (left,) = curves.best(center[None, :])
    misfit = float(chi2.sf(left, len(g.doses) - 2))
    if misfit < MISFIT:
        return _monotone(g, misfit)
    draw = rng(f"dose-{name}")
    noise = draw.standard_normal((DRAWS, len(g.doses)))
    if np.isfinite(g.df):
        noise /= np.sqrt(draw.chisquare(g.df, DRAWS) / g.df)[:, None]
    ks, tops, _ = curves.best(center + noise)
    doses = np.geomspace(g.doses[0], g.doses[-1], LINE)
    shapes = curves.at(doses)
    low, high = np.quantile(tops[:, None] * shapes[ks], [0.025, 0.975], axis=0)
    columns = (doses, scale * shapes[k], low, high)
    line = tuple(map(CurvePoint, *(column.tolist() for column in columns)))
    ends = np.quantile(curves.halves[ks], [0.025, 0.975])
    half = Interval(float(curves.halves[k]), float(ends[0]), float(ends[1]))
    if half.low < g.doses[0] and half.high > 0.98 * curves.largest / 2:
        reason = "the data fit any dose from below the smallest tried to half of the largest"
        return Fit("saturating", line, None, misfit, reason)
    return Fit("saturating", line, half, misfit)


def _monotone(g: Gains, misfit: float) -> Fit:
    """The nearest curve that never turns (isotonic regression), and where it passes half of its
    last value, interpolated in log dose."""
    rising = bool(g.means[-1] > 0)
    values = isotonic_regression(g.means, weights=1 / np.diag(g.covariance), increasing=rising).x
    reason = f"a saturating curve does not fit (p = {misfit:.1g})"
    after = int((abs(values) >= abs(values[-1]) / 2).argmax()) if values[-1] else 0
    if after:
        share = (values[-1] / 2 - values[after - 1]) / (values[after] - values[after - 1])
        ends = np.log(g.doses[after - 1 : after + 1])
        dose = float(np.exp(np.interp(share, [0, 1], ends)))
        reason += f"; a monotone one passes half of its gain at about {dose:.2g}"
        reason += ", without an interval"
    line = tuple(map(CurvePoint, g.doses.tolist(), values.tolist()))
    return Fit("monotone", line, None, misfit, reason)
