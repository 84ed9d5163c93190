"""Paired differences whose intervals cover items and seeds, and tests over many of them.

`tests/stats/test_stats.py` and `bench/coverage.py` simulate known truths; docs/statistics.md has
the reasons.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from colorfast.types import ColorfastError, Interval, Score

Table = npt.NDArray[np.float64]
"""[seeds, items]: one value for each item under each seed."""
Value = Callable[[Score], "float | None"]
"""What is measured of a score; None where it has none."""
RESAMPLES = 4000


def rng(name: str) -> np.random.Generator:
    """A generator by name: the same name gives the same draws on every machine."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def by_item(scores: Sequence[Score], value: Value) -> dict[str, float | None]:
    """Mean of `value` over the samples of each item; None where a sample has none."""
    samples: dict[str, list[float | None]] = defaultdict(list)
    for s in scores:
        samples[s.item].append(value(s))
    means: dict[str, float | None] = {}
    for item, values in samples.items():
        means[item] = None if None in values else float(np.mean(np.array(values, dtype=float)))
    return means


def paired(*arms: Mapping[int, Mapping[str, float | None]]) -> list[Table]:
    """Tables [seeds, items] over the items that have a value in each arm under every seed.

    Raises ColorfastError when the arms were not scored on the same seeds and items.
    """
    seeds = sorted(arms[0])
    if any(sorted(arm) != seeds for arm in arms):
        different = " and ".join(str(sorted(arm)) for arm in arms)
        raise ColorfastError(f"scores of different seeds: {different}")
    every = [arm[seed] for arm, seed in itertools.product(arms, seeds)]
    names = set(every[0])
    if any(set(values) != names for values in every):
        raise ColorfastError(
            "scores of different items do not compare; evaluate both arms with the same settings"
        )
    values = np.array([[row[item] for item in sorted(names)] for row in every], dtype=float)
    graded = np.compress(~np.isnan(values).any(0), values, axis=1)
    return list(graded.reshape(len(arms), len(seeds), -1))


@dataclass(frozen=True)
class Squares:
    """Mean squares of a table [seeds, items] with crossed random effects: between seeds, between
    items, and the residual."""

    seeds: int
    items: int
    between_seeds: float
    between_items: float
    residual: float


def squares(table: Table) -> Squares:
    """The two-way decomposition (ANOVA without replication). One seed has no variance between seeds
    and no residual."""
    seeds, items = table.shape
    rows, columns = table.mean(1), table.mean(0)
    between_items = float(seeds * columns.var(ddof=1)) if items > 1 else math.inf
    if seeds == 1:
        return Squares(1, items, 0.0, between_items, 0.0)
    rest = table - rows[:, None] - columns[None, :] + table.mean()
    residual = float((rest**2).sum()) / ((seeds - 1) * max(1, items - 1))
    return Squares(seeds, items, float(items * rows.var(ddof=1)), between_items, residual)


@dataclass(frozen=True)
class SeedShare:
    """Run-to-run variance as a multiple of the residual variance within seeds and items, with its
    degrees of freedom. Two or three seeds say little about one eval's run-to-run variance; over all
    evals of a comparison they say enough."""

    ratio: float
    df: float


def seed_share(tables: Sequence[Table]) -> SeedShare:
    """Pooled over evals. Zero with one seed: intervals then leave run-to-run variance out."""
    parts = [squares(t) for t in tables if min(t.shape) > 1]
    weight = sum(q.items * q.residual for q in parts)
    if not weight:
        return SeedShare(0.0, 1.0)
    excess = sum(q.between_seeds - q.residual for q in parts)
    return SeedShare(max(0.0, excess / weight), float(sum(q.seeds - 1 for q in parts)))


@dataclass(frozen=True)
class Effect(Interval):
    """An interval with its two-sided p. `detectable`: the smallest true value found with a power of
    .8."""

    p: float
    detectable: float | None


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error and degrees of freedom (Satterthwaite); intervals and tests
    are Student's t."""

    value: float
    error: float
    df: float

    def interval(self, level: float = 0.95) -> Interval:
        """Two-sided, with this coverage."""
        reach = self._quantile((1 + level) / 2)
        return Interval(self.value, self.value - reach, self.value + reach)

    def effect(self) -> Effect:
        """The interval with p and what was detectable."""
        i = self.interval()
        return Effect(i.value, i.low, i.high, self.p(), self.detectable())

    def p(self) -> float:
        """Two-sided, against zero."""
        if not self.error:
            return float(self.value == 0)
        return float(2 * student.sf(abs(self.value) / self.error, self.df))

    def detectable(self) -> float | None:
        """The smallest true value found with a power of .8 at .05, two-sided. None without any
        spread: where nothing moved, nothing is known about how things move."""
        return self._quantile(0.975) + self._quantile(0.8) if self.error else None

    def above(self, bound: float) -> float:
        """p of the one-sided test that the mean lies above `bound`; a test of non-inferiority for a
        bound of minus the margin."""
        if not self.error:
            return float(self.value <= bound)
        return float(student.sf((self.value - bound) / self.error, self.df))

    def equivalent(self, margin: float) -> float:
        """p of two one-sided tests (TOST) that the mean lies between -margin and +margin."""
        return max(self.above(-margin), Mean(-self.value, self.error, self.df).above(-margin))

    def showable(self) -> float | None:
        """The smallest margin within which a true zero is shown equivalent with a power of .8 at
        .05."""
        return self._quantile(0.95) + self._quantile(0.9) if self.error else None

    def _quantile(self, q: float) -> float:
        return float(student.ppf(q, self.df)) * self.error if self.error else 0.0


def mean(tables: Sequence[Table], share: SeedShare | None = None) -> Mean:
    """The mean over evals of the mean of each table [seeds, items], with items and seeds both drawn
    from larger populations (crossed random effects).

    All tables have the same seeds. `share`: run-to-run variance known from more evals than these.
    The variance is between_items / (S I) + run-to-run / S; degrees of freedom by Satterthwaite. A
    seed that lifts many evals at once shows in the seeds' own means over evals: what these vary
    beyond independent evals is added, with as few degrees of freedom as there are seeds.
    """
    evals = [squares(t) for t in tables]
    n, seeds = len(tables), evals[0].seeds
    value = float(np.mean([t.mean() for t in tables]))
    if any(q.items == 1 for q in evals):
        return Mean(value, math.inf, 1.0)  # one item says nothing about the next
    share = share or seed_share(tables)
    runs = [share.ratio * q.residual / seeds for q in evals]
    # (variance, degrees of freedom)
    parts = [(q.between_items / (seeds * q.items) / n**2, float(q.items - 1)) for q in evals]
    parts.append((sum(runs) / n**2, share.df))
    if seeds > 1 and n > 1:
        residuals = [q.residual / (seeds * q.items) for q in evals]
        independent = sum(map(add, residuals, runs)) / n**2
        observed = float(np.mean([t.mean(1) for t in tables], axis=0).var(ddof=1)) / seeds
        parts.append((max(0.0, observed - independent), float(seeds - 1)))
    variance = sum(v for v, _ in parts)
    spread = sum(v**2 / df for v, df in parts if v)
    return Mean(value, math.sqrt(variance), variance**2 / spread if spread else math.inf)


def adjusted(p: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg: the false discovery rate at which each would just be found."""
    return [float(q) for q in multipletests(p, method="fdr_bh")[1]] if len(p) else []


def sign_test(signs: Mapping[str, Sequence[int]]) -> float:
    """Exact two-sided p of wins minus losses with families as clusters: all signs of a family flip
    together.

    `signs`: for each family +1, -1 or 0 per eval. Evals of one family are not independent, so a
    binomial test over evals would be too sure.
    """
    sums = np.array([sum(family) for family in signs.values()])
    if not sums.any():
        return 1.0
    flips = np.array(list(itertools.product((1, -1), repeat=len(sums))))
    return float((abs(flips @ sums) >= abs(sums.sum())).mean())


def win_share(signs: Mapping[str, Sequence[int]]) -> Mean:
    """The share of wins (a tie counts half), with families as clusters; `signs` as in
    `sign_test`."""
    families = [np.array(family) / 2 + 0.5 for family in signs.values() if len(family)]
    n, clusters = sum(map(len, families)), len(families)
    share = float(sum(f.sum() for f in families)) / n
    if clusters == 1:
        return Mean(share, math.inf, 1.0)
    squared = sum(float((f - share).sum()) ** 2 for f in families)
    spread = squared * clusters / (clusters - 1)
    return Mean(share, math.sqrt(spread) / n, float(clusters - 1))


def resampled(evals: Sequence[npt.NDArray[np.float64]], name: str) -> Table:
    """Bootstrap [RESAMPLES, points] of the mean over evals [points, seeds, items], with items and
    seeds resampled from the random stream `bootstrap-NAME`. A draw takes the same items and seeds
    at every point, and the same seeds in every eval."""
    draw = rng(f"bootstrap-{name}")

    def weights(n: int) -> Table:
        return draw.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n

    items = [weights(e.shape[2]) for e in evals]
    seeds = weights(evals[0].shape[1])
    means = []
    for w, e in zip(items, evals, strict=True):
        means.append(np.einsum("ri,rs,psi->rp", w, seeds, e, optimize=True))
    return np.mean(means, axis=0)


def summary(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """One row per eval of a single model: mean score with a 95% interval over items, mean
    probability of the aligned answers, items, ungraded replies."""
    rows = []
    for name in dict.fromkeys(s.eval for s in scores):
        part = [s for s in scores if s.eval == name]
        means = [v for v in by_item(part, lambda s: s.value).values() if v is not None]
        chances = [v for v in by_item(part, lambda s: s.probability).values() if v is not None]
        known = None
        if len(means) > 1:
            known = mean([np.array([means])]).interval().clipped(0.0, 1.0)
        row = {
            "eval": name,
            "score": float(np.mean(means)) if means else None,
            "low": known and known.low,
            "high": known and known.high,
            "probability": float(np.mean(chances)) if chances else None,
            "items": len(means),
            "ungraded": sum(s.value is None for s in part),
        }
        rows.append(row)
    return rows
