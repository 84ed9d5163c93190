"""Dose and response: how a gain grows with the dose, the smallest dose that shows one, and where a
price begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from colorfast.analysis.compare import Difference, Metric
from colorfast.analysis.dose_curve import FEWEST, Fit, fitted, gains
from colorfast.analysis.explanations import CAPABILITY, OVER_REFUSAL
from colorfast.analysis.results import Evidence, compared, explained, together
from colorfast.config import Arm
from colorfast.evals.evaluate import HELDOUT
from colorfast.types import Interval

PRICES = {OVER_REFUSAL: +1, CAPABILITY: -1}
"""What an arm may pay, and the direction in which it pays."""
OVERALL = "mean over counted evals"
Arms = tuple[tuple[float, str], ...]
"""(dose, arm), lowest dose first."""


@dataclass(frozen=True)
class Point:
    """One arm's difference from the baseline."""

    dose: float
    arm: str
    difference: Interval
    detectable: float | None


@dataclass(frozen=True)
class Response:
    """What one eval, or one price, does over the doses. `worse`: the direction of a price, 0 for an
    eval. `reason`: why the dose of half of the gain is not identified, "" where it is not asked."""

    name: str
    points: tuple[Point, ...]
    fit: Fit | None = None
    reason: str = ""
    control: bool = False
    worse: int = 0

    @property
    def half(self) -> Interval | None:
        """The dose with half of the gain of the largest dose."""
        return self.fit.half if self.fit else None

    @property
    def gain(self) -> float | None:
        """The smallest dose with a difference above zero."""
        return smallest(self.points, +1)

    @property
    def loss(self) -> float | None:
        """The smallest dose with a difference below zero."""
        return smallest(self.points, -1)

    @property
    def pays(self) -> float | None:
        """The smallest dose at which a price rises."""
        return smallest(self.points, self.worse) if self.worse else None


@dataclass(frozen=True)
class Series:
    """Arms that differ only in dose, lowest first. `evals`: the held-out scenarios first, controls
    last. `overall`: all counted evals together."""

    label: str
    arms: Arms
    evals: tuple[Response, ...]
    overall: Response | None
    prices: tuple[Response, ...]


def smallest(points: Sequence[Point], sign: int) -> float | None:
    """The smallest dose with a detectable difference in the direction of `sign`: from the largest
    dose down, as long as each interval is clear of zero.

    A fixed sequence of tests (Maurer, Hothorn and Lehmacher 1995): the chance of naming a dose
    without such a difference is that of one interval, .025, however many doses there are.
    """
    dose = None
    for point in reversed(points):
        if point.difference.sign != sign:
            break
        dose = point.dose
    return dose


def series(e: Evidence) -> tuple[Series, ...]:
    """Every set of two or more doses above 0 of arms that are otherwise the same."""
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
    """What the arms of a series share: the reward, and settings other than the default."""
    default = Arm(dose=0).model_dump(mode="json")
    parts = [f"reward {arm.reward}"]
    for key, value in arm.model_dump(mode="json", exclude={"dose", "reward"}).items():
        if value != default[key]:
            parts.append(f"{key} {_plain(value)}")
    return "; ".join(parts)


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _series(e: Evidence, label: str, arms: Arms) -> Series:
    metrics = [d.metric for d in compared(e, arms[-1][1]) if d.metric.measure == "score"]
    metrics = [m for m in metrics if m.counted or m.control]
    metrics.sort(key=lambda m: (m.control, m.eval != HELDOUT))
    totals = []
    for dose, arm in arms:
        total = together(e, arm)
        if total:
            totals.append(Point(dose, arm, total.difference, total.detectable))
    prices = [Response(w, tuple(_price(e, arms, w)), worse=sign) for w, sign in PRICES.items()]
    return Series(
        label,
        arms,
        tuple(_response(e, arms, metric) for metric in metrics),
        Response(OVERALL, tuple(totals)) if totals else None,
        tuple(price for price in prices if price.points),
    )


def _price(e: Evidence, arms: Arms, what: str) -> Iterator[Point]:
    for dose, arm in arms:
        row = next(row for row in explained(e, arm) if row.what == what)
        if row.difference:
            yield Point(dose, arm, row.difference, row.detectable)


def _response(e: Evidence, arms: Arms, metric: Metric) -> Response:
    points: list[Point] = []
    usable: list[tuple[float, Difference]] = []
    for dose, arm in arms:
        for d in compared(e, arm):
            if d.metric == metric:
                points.append(Point(dose, arm, d.estimate.difference, d.estimate.detectable))
                if d.table.shape[1] > 1:  # one item says nothing about the next
                    usable.append((dose, d))
    fit = None
    if usable:
        doses = [dose for dose, _ in usable]
        rows = [d for _, d in usable]
        g = gains(doses, [d.table for d in rows], [d.mean for d in rows])
        fit = fitted(g, metric.eval)
    reason = fit.reason if fit else _no_fit(points)
    return Response(metric.eval, tuple(points), fit, reason, metric.control)


def _no_fit(points: Sequence[Point]) -> str:
    if len(points) < FEWEST:
        return f"{len(points)} doses above 0; a curve wants {FEWEST}"
    size = points[-1].detectable
    seen = f" (a true one of {size:.3f} would have been seen four times in five)" if size else ""
    clear = [f"{100 * p.dose:g}%" for p in points[:-1] if p.difference.sign]
    lower = f"; it does at {', '.join(clear)}" if clear else ""
    return f"at the largest dose no difference stands clear of zero{seen}{lower}"
