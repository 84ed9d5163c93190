"""Dose and response: how a gain grows with the dose, the smallest dose that shows one, and where it
begins to pay.

Known truths are simulated in `tests/test_dose.py`; docs/statistics.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.stats import chi2

from colorfast.analysis.compare import CAPABILITY, OVER_REFUSAL, Difference, Explanation
from colorfast.analysis.results import Evidence, compared, explained, together
from colorfast.config import Arm
from colorfast.evals.evaluate import HELDOUT
from colorfast.stats.intervals import Mean, Table, rng
from colorfast.types import Interval

Vector = npt.NDArray[np.float64]
FEWEST = 3
"""Doses above 0 that a curve of two parameters wants, so that one is left to contradict it."""
MISFIT = 0.01
"""The saturating curve is given up when its misfit is less likely than this."""
GRID, DRAWS, BEYOND = 300, 1000, 30.0
"""Half-saturations tried, from the smallest dose / BEYOND to the largest x BEYOND; draws of the
bootstrap."""
LINE = 60
PRICES = {OVER_REFUSAL: +1, CAPABILITY: -1}
"""What an arm may pay with, and in which direction that is."""
OVERALL = "mean over counted evals"


@dataclass(frozen=True)
class Point:
    """One arm's difference from the baseline."""

    dose: float
    arm: str
    difference: Interval
    detectable: float | None


@dataclass(frozen=True)
class Gains:
    """Differences from one baseline at rising doses [doses], the covariance of their errors, and
    its degrees of freedom."""

    doses: Vector
    means: Vector
    covariance: Table
    df: float


@dataclass(frozen=True)
class Half:
    """The dose with half of the gain of the largest dose (ED50), and its 95% interval; None with a
    reason when it is not identified. An interval may begin below the smallest dose tried."""

    dose: Interval | None = None
    reason: str = ""


@dataclass(frozen=True)
class Fit:
    """`line`: (dose, value, low, high) of the curve with its pointwise 95% band, without a band for
    a monotone fit. `misfit`: p that a saturating curve strays so far from the means."""

    kind: Literal["saturating", "monotone"]
    line: tuple[tuple[float, float, float | None, float | None], ...]
    half: Half
    misfit: float


@dataclass(frozen=True)
class Response:
    """What one eval, or a price, does over the doses. `worse`: the direction of a price, 0 for an
    eval.

    `gain`, `loss`: the smallest dose with a difference above, below zero; None where there is none.
    """

    name: str
    points: tuple[Point, ...]
    half: Half
    fit: Fit | None = None
    control: bool = False
    worse: int = 0

    @property
    def gain(self) -> float | None:
        return smallest(self.points, +1)

    @property
    def loss(self) -> float | None:
        return smallest(self.points, -1)

    @property
    def pays(self) -> float | None:
        """The smallest dose at which a price rises."""
        return smallest(self.points, self.worse) if self.worse else None


@dataclass(frozen=True)
class Series:
    """Arms that differ in their dose alone, lowest first: `evals` with the held-out scenarios first
    and controls last, all counted evals together, and prices."""

    label: str
    arms: tuple[tuple[float, str], ...]
    evals: tuple[Response, ...]
    overall: Response | None
    prices: tuple[Response, ...]


def series(e: Evidence) -> tuple[Series, ...]:
    """Every set of two doses or more, above 0, of arms that are otherwise the same."""
    groups: dict[str, dict[float, str]] = {}
    for name in e.dosed:
        arm = e.experiment.arms[name]
        groups.setdefault(_label(arm), {}).setdefault(arm.dose, name)
    return tuple(
        _series(e, label, tuple(sorted(arms.items())))
        for label, arms in groups.items()
        if len(arms) > 1
    )


def _label(arm: Arm) -> str:
    """What the arms of a series share: every setting but the dose that is not the usual one."""
    usual, own = (a.model_dump(mode="json", exclude={"dose"}) for a in (Arm(dose=0), arm))
    return "; ".join(
        [
            f"reward {arm.reward}",
            *(
                f"{key} {_plain(v)}"
                for key, v in own.items()
                if v != usual[key] and key != "reward"
            ),
        ]
    )


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _series(e: Evidence, label: str, arms: tuple[tuple[float, str], ...]) -> Series:
    found = {
        name: {d.asked.eval: d for d in compared(e, name) if d.asked.measure == "score"}
        for _, name in arms
    }
    names = [d.asked for d in compared(e, arms[-1][1]) if d.asked.counted or d.asked.control]
    evals = [
        _response(
            asked.eval,
            asked.control,
            [
                (dose, name, found[name][asked.eval])
                for dose, name in arms
                if asked.eval in found[name]
            ],
        )
        for asked in sorted(
            (a for a in names if a.measure == "score"), key=lambda a: (a.control, a.eval != HELDOUT)
        )
    ]
    whole = [(dose, name, together(e, name)) for dose, name in arms]
    points = tuple(Point(dose, name, o.difference, o.detectable) for dose, name, o in whole if o)
    prices = [
        _price(what, worse, [(dose, name, explained(e, name)) for dose, name in arms])
        for what, worse in PRICES.items()
    ]
    return Series(
        label,
        arms,
        tuple(evals),
        Response(OVERALL, points, Half()) if points else None,
        tuple(p for p in prices if p.points),
    )


def _price(
    what: str, worse: int, arms: Sequence[tuple[float, str, Sequence[Explanation]]]
) -> Response:
    rows = [(dose, name, row) for dose, name, rows in arms for row in rows if row.what == what]
    points = [
        Point(dose, name, row.difference, row.detectable)
        for dose, name, row in rows
        if row.difference is not None
    ]
    return Response(what, tuple(points), Half(), worse=worse)


def _response(name: str, control: bool, arms: Sequence[tuple[float, str, Difference]]) -> Response:
    points = tuple(_point(dose, arm, d.mean) for dose, arm, d in arms)
    usable = [
        (dose, d) for dose, _, d in arms if d.table.shape[1] > 1
    ]  # one item says nothing about the next
    fit = (
        fitted(
            gains(
                [dose for dose, _ in usable],
                [d.table for _, d in usable],
                [d.mean for _, d in usable],
            ),
            name,
        )
        if usable
        else None
    )
    return Response(name, points, fit.half if fit else _unfitted(points), fit, control)


def _point(dose: float, arm: str, found: Mean) -> Point:
    return Point(dose, arm, found.interval().clipped(-1.0, 1.0), found.detectable())


def _unfitted(points: Sequence[Point]) -> Half:
    if len(points) < FEWEST:
        return Half(reason=f"{len(points)} doses above 0; a curve wants {FEWEST}")
    seen = points[-1].detectable
    size = f" (a true one of {seen:.3f} would have been seen four times in five)" if seen else ""
    alone = [f"{100 * p.dose:g}%" for p in points[:-1] if p.difference.sign]
    lower = f"; it does at {', '.join(alone)}" if alone else ""
    return Half(reason=f"at the largest dose no difference stands clear of zero{size}{lower}")


def smallest(points: Sequence[Point], sign: int) -> float | None:
    """The smallest dose with a detectable difference in the direction of `sign`: from the largest
    dose down, as long as each interval is clear of zero.

    A fixed sequence of tests (Maurer, Hothorn and Lehmacher 1995): under any truth, the chance to
    name a dose that has no such difference is that of one interval, .025, however many doses there
    are.
    """
    found = None
    for point in reversed(points):
        if point.difference.sign != sign:
            break
        found = point.dose
    return found


def gains(doses: Sequence[float], tables: Sequence[Table], means: Sequence[Mean]) -> Gains:
    """What a fit needs, from the tables [seeds, items] of differences and their means.

    Errors go together, as all differences share a baseline and its items. How much is read from the
    items where all tables have the same, and is one half (equal noise in every arm) where they do
    not. An arm in which no item moved is known to one item.
    """
    errors = np.array([max(m.error, 1 / t.size) for m, t in zip(means, tables, strict=True)])
    together = np.full((len(tables), len(tables)), 0.5)
    if len({t.shape for t in tables}) == 1:
        columns = np.array([t.mean(0) - t.mean() for t in tables])
        size = np.sqrt((columns**2).sum(1))
        size[size == 0] = 1.0
        together = (
            0.9 * (columns @ columns.T) / np.outer(size, size)
        )  # shrunk, so that few items cannot make it singular
    np.fill_diagonal(together, 1.0)
    value = np.array([m.value for m in means])
    return Gains(
        np.array(doses), value, together * np.outer(errors, errors), min(m.df for m in means)
    )


class _Curves:
    """Saturating curves `top x d (c + D) / (D (c + d))` for a grid of half-saturations c, where D
    is the largest dose and `top` the gain there: Emax, or Hill with exponent 1, from zero at dose
    0. For a given c the best `top` has a formula."""

    def __init__(self, g: Gains) -> None:
        self.g, self.largest = g, float(g.doses[-1])
        self.c = np.geomspace(g.doses[0] / BEYOND, g.doses[-1] * BEYOND, GRID)
        self.root = np.linalg.cholesky(g.covariance)
        self.shape = np.linalg.solve(self.root, self.at(g.doses).T)

    def at(self, doses: Vector) -> Table:
        """[c, doses], one at the largest dose."""
        c = self.c[:, None]
        return doses / (c + doses) * (c + self.largest) / self.largest

    @property
    def halves(self) -> Vector:
        """The dose with half of the gain of the largest dose, for each c: from near 0 to half of
        the largest dose (a straight line)."""
        return self.c * self.largest / (2 * self.c + self.largest)

    def best(self, whitened: Table) -> tuple[npt.NDArray[np.intp], Vector, Vector]:
        """For each row of means over `root`: the best c's place on the grid, its `top`, and the sum
        of squares left."""
        along, size = whitened @ self.shape, (self.shape**2).sum(0)
        k = (along**2 / size).argmax(1)
        row = np.arange(len(k))
        return k, along[row, k] / size[k], (whitened**2).sum(1) - along[row, k] ** 2 / size[k]


def fitted(g: Gains, name: str) -> Fit | None:
    """The curve through the gains, by generalised least squares; None with fewer than FEWEST doses,
    or when no difference stands clear of zero at the largest dose: there is no half of nothing.

    Intervals by a parametric bootstrap of that name: the means are drawn again from their estimated
    error, items and seeds, by Student's t. Where the saturating curve misfits, a monotone one
    stands in, without an interval.
    """
    top = Mean(float(g.means[-1]), float(np.sqrt(g.covariance[-1, -1])), g.df).interval()
    if len(g.doses) < FEWEST or not top.sign:
        return None
    curves, draw = _Curves(g), rng(f"dose-{name}")
    centre = np.linalg.solve(curves.root, g.means)
    (k,), (scale,), (left,) = curves.best(centre[None, :])
    misfit = float(chi2.sf(left, len(g.doses) - 2))
    if misfit < MISFIT:
        return _monotone(g, misfit)
    noise = draw.standard_normal((DRAWS, len(g.doses)))
    if np.isfinite(g.df):
        noise /= np.sqrt(draw.chisquare(g.df, DRAWS) / g.df)[:, None]
    ks, tops, _ = curves.best(centre + noise)
    at = np.geomspace(g.doses[0], g.doses[-1], LINE)
    shapes = curves.at(at)
    low, high = np.quantile(tops[:, None] * shapes[ks], [0.025, 0.975], axis=0)
    line = zip(at.tolist(), (scale * shapes[k]).tolist(), low.tolist(), high.tolist(), strict=True)
    return Fit(
        "saturating", tuple(line), _half(g, float(curves.halves[k]), curves.halves[ks]), misfit
    )


def _half(g: Gains, value: float, drawn: Vector) -> Half:
    low, high = (float(x) for x in np.quantile(drawn, [0.025, 0.975]))
    straight = 0.98 * float(g.doses[-1]) / 2
    if low < g.doses[0] and high > straight:
        return Half(
            reason="the data fit any dose from below the smallest tried to half of the largest"
        )
    return Half(Interval(value, low, high))


def _monotone(g: Gains, misfit: float) -> Fit:
    """The nearest curve that never turns (isotonic regression), and where it passes half of its
    last value, in log dose."""
    found = isotonic_regression(
        g.means, weights=1 / np.diag(g.covariance), increasing=bool(g.means[-1] > 0)
    ).x
    reason = f"a saturating curve does not fit (p = {misfit:.1g})"
    passed = int((abs(found) >= abs(found[-1]) / 2).argmax()) if found[-1] else 0
    if passed:
        share = (found[-1] / 2 - found[passed - 1]) / (found[passed] - found[passed - 1])
        about = float(np.exp(np.interp(share, [0, 1], np.log(g.doses[passed - 1 : passed + 1]))))
        reason += (
            f"; a monotone one passes half of its gain at about {about:.2g}, without an interval"
        )
    line = tuple((float(d), float(v), None, None) for d, v in zip(g.doses, found, strict=True))
    return Fit("monotone", line, Half(reason=reason), misfit)
