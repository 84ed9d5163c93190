"""Statistics of the comparison: paired differences whose intervals hold items and seeds, and what
follows from many of them.

Known truths are simulated in `tests/test_stats.py` and, at length, in `bench/coverage.py`;
docs/statistics.md has the reasons.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests

from colorfast.types import ColorfastError, Interval, Score

Table = npt.NDArray[np.float64]
"""[seeds, items]: one value for each item under each seed."""
RESAMPLES = 4000


def rng(name: str) -> np.random.Generator:
    """A generator by name: the same name gives the same draws on every machine."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def by_item(
    scores: Sequence[Score], value: Callable[[Score], float | None]
) -> dict[str, float | None]:
    """Mean of `value` over samples for each item; None where it is None for any sample."""
    found: dict[str, list[float | None]] = defaultdict(list)
    for s in scores:
        found[s.item].append(value(s))
    return {
        item: None if None in values else float(np.mean(np.array(values, dtype=float)))
        for item, values in found.items()
    }


def item_means(scores: Sequence[Score], measure: str) -> dict[str, float | None]:
    """Mean score (or probability) over samples per item; None where any sample is ungraded."""
    return by_item(scores, lambda s: s.value if measure == "score" else s.probability)


def paired(*tables: Mapping[int, Mapping[str, float | None]]) -> list[Table]:
    """Tables [seeds, items] over the items that were graded in each under every seed.

    Raises ColorfastError when they were not scored on the same seeds and items: such scores do not
    compare.
    """
    seeds = sorted(tables[0])
    if any(set(table) != set(seeds) for table in tables):
        raise ColorfastError(
            f"scores of different seeds: {' and '.join(str(sorted(table)) for table in tables)}"
        )
    names = set(tables[0][seeds[0]])
    if any(set(table[seed]) != names for table in tables for seed in seeds):
        raise ColorfastError(
            "scores of different items do not compare; evaluate both arms with the same settings"
        )
    kept = [i for i in sorted(names) if all(t[s][i] is not None for t in tables for s in seeds)]
    return [
        np.array([[t[s][i] for i in kept] for s in seeds], dtype=float).reshape(
            len(seeds), len(kept)
        )
        for t in tables
    ]


@dataclass(frozen=True)
class Squares:
    """Mean squares of a table [seeds, items] as crossed random effects: between seeds, between
    items, what is left."""

    seeds: int
    items: int
    between_seeds: float
    between_items: float
    left: float


def squares(table: Table) -> Squares:
    """The two-way decomposition. With one seed there is nothing between seeds, and nothing left."""
    s, i = table.shape
    rows, columns = table.mean(1), table.mean(0)
    if s == 1:
        return Squares(1, i, 0.0, float(columns.var(ddof=1)) if i > 1 else math.inf, 0.0)
    rest = table - rows[:, None] - columns[None, :] + table.mean()
    left = float((rest**2).sum()) / ((s - 1) * max(1, i - 1))
    return Squares(
        s,
        i,
        float(i * rows.var(ddof=1)),
        float(s * columns.var(ddof=1)) if i > 1 else math.inf,
        left,
    )


@dataclass(frozen=True)
class SeedShare:
    """Run-to-run variance, as a multiple of the variance left within seeds and items, with its
    degrees of freedom.

    Two or three seeds say next to nothing about one eval's run-to-run variance; over all evals of a
    comparison they say enough.
    """

    ratio: float
    df: float


def seed_share(tables: Sequence[Table]) -> SeedShare:
    """Pooled over evals. Zero with one seed: then run-to-run variance cannot be known, and
    intervals leave it out."""
    found = [squares(t) for t in tables if t.shape[0] > 1 and t.shape[1] > 1]
    weight = sum(q.items * q.left for q in found)
    if not weight:
        return SeedShare(0.0, 1.0)
    return SeedShare(
        max(0.0, sum(q.between_seeds - q.left for q in found) / weight),
        float(sum(q.seeds - 1 for q in found)),
    )


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error and degrees of freedom (Satterthwaite); all that intervals and
    tests need."""

    value: float
    error: float
    df: float

    def interval(self, level: float = 0.95) -> Interval:
        """By Student's t."""
        reach = self._quantile((1 + level) / 2)
        return Interval(self.value, self.value - reach, self.value + reach)

    def p(self) -> float:
        """Two-sided, against zero."""
        if not self.error:
            return float(self.value == 0)
        return float(2 * student.sf(abs(self.value) / self.error, self.df))

    def detectable(self, power: float = 0.8, alpha: float = 0.05) -> float | None:
        """The smallest true value that would be found with this power: what stands beside every
        null. None without any spread: where nothing moved, nothing is known of how things move."""
        if not self.error:
            return None
        return self._quantile(1 - alpha / 2) + self._quantile(power)

    def above(self, bound: float) -> float:
        """p of the one-sided test that the mean lies above `bound`: non-inferiority for a bound of
        minus the margin."""
        return (
            float(student.sf((self.value - bound) / self.error, self.df))
            if self.error
            else float(self.value <= bound)
        )

    def equivalent(self, margin: float) -> float:
        """p of two one-sided tests (TOST): that the mean lies between -margin and +margin."""
        return max(self.above(-margin), Mean(-self.value, self.error, self.df).above(-margin))

    def showable(self, power: float = 0.8, alpha: float = 0.05) -> float | None:
        """The smallest margin within which a true zero would be shown equivalent with this
        power."""
        return self._quantile(1 - alpha) + self._quantile((1 + power) / 2) if self.error else None

    def _quantile(self, q: float) -> float:
        return float(student.ppf(q, self.df)) * self.error if self.error else 0.0


def mean(tables: Sequence[Table], share: SeedShare | None = None) -> Mean:
    """The mean over evals of the mean of each table [seeds, items], items and seeds both drawn from
    larger populations.

    All tables have the same seeds. `share`: what is known of run-to-run variance from more evals
    than these. Variances add as between_items / (S I) + run-to-run / S (crossed random effects),
    degrees of freedom by Satterthwaite. A seed that lifts many evals at once shows in the seeds'
    own means over evals: what these vary beyond what evals that vary alone would give is added,
    with as few degrees of freedom as there are seeds.
    """
    found = [squares(t) for t in tables]
    n = len(tables)
    value = float(np.mean([t.mean() for t in tables]))
    if any(q.items == 1 for q in found):
        return Mean(value, math.inf, 1.0)  # one item says nothing about the next
    seeds, share = found[0].seeds, share or seed_share(tables)
    parts = [(q.between_items / (seeds * q.items) / n**2, float(q.items - 1)) for q in found]
    parts.append((sum(share.ratio * q.left / seeds for q in found) / n**2, share.df))
    if seeds > 1 and n > 1:
        alone = sum(q.left / (seeds * q.items) + share.ratio * q.left / seeds for q in found) / n**2
        together = float(np.mean([t.mean(1) for t in tables], axis=0).var(ddof=1)) / seeds
        parts.append((max(0.0, together - alone), float(seeds - 1)))
    variance = sum(v for v, _ in parts)
    spread = sum(v**2 / df for v, df in parts if v)
    return Mean(value, math.sqrt(variance), variance**2 / spread if spread else math.inf)


def adjusted(p: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg: the false discovery rate at which each would just be found."""
    return [float(q) for q in multipletests(p, method="fdr_bh")[1]] if len(p) else []


def sign_test(signs: Mapping[str, Sequence[int]]) -> float:
    """p of wins minus losses, two-sided and exact, with families as clusters: all signs of a family
    flip together.

    `signs`: for each family +1, -1 or 0 per eval. Evals of one family are not independent, so a
    plain binomial test over evals would be too sure.
    """
    sums = np.array([sum(family) for family in signs.values()])
    if not sums.any():
        return 1.0
    flips = np.array(list(itertools.product((1, -1), repeat=len(sums))))
    return float((abs(flips @ sums) >= abs(sums.sum())).mean())


def win_share(signs: Mapping[str, Sequence[int]]) -> Mean:
    """The share of wins, a tie counting half, with families as clusters: what a sign test leaves
    open when it finds nothing."""
    families = [np.array(family) / 2 + 0.5 for family in signs.values() if len(family)]
    n = sum(map(len, families))
    share = float(sum(f.sum() for f in families)) / n
    if len(families) == 1:
        return Mean(share, math.inf, 1.0)
    spread = (
        sum(float((f - share).sum()) ** 2 for f in families) * len(families) / (len(families) - 1)
    )
    return Mean(share, math.sqrt(spread) / n, float(len(families) - 1))


@dataclass(frozen=True)
class Structure:
    """What many evals have in common over models: mean pairwise Spearman correlation of evals, the
    share of the first principal component, and the middle 95% of either when each eval's models are
    shuffled."""

    spearman: float
    spearman_null: tuple[float, float]
    component: float
    component_null: tuple[float, float]


def structure(
    values: Table, capability: npt.NDArray[np.float64] | None = None, draws: int = 500
) -> Structure:
    """Shared structure of `values` [models, evals] (method, section 6), with `capability` [models]
    regressed out if given.

    Evals on which all models agree are left out. Raises ValueError with fewer than three models or
    two evals that differ.
    """
    x = values - values.mean(0)
    if capability is not None:
        c = capability - capability.mean()
        x = x - np.outer(c, c @ x) / (c @ c)
    x = x[:, x.std(0) > 1e-12]
    if x.shape[0] < 3 or x.shape[1] < 2:
        raise ValueError("shared structure needs three models and two evals on which they differ")
    draw = rng("structure")
    null = np.array(
        [
            _shared(np.column_stack([draw.permutation(column) for column in x.T]))
            for _ in range(draws)
        ]
    )
    low, high = np.quantile(null, [0.025, 0.975], axis=0)
    spearman, component = _shared(x)
    return Structure(
        spearman, (float(low[0]), float(high[0])), component, (float(low[1]), float(high[1]))
    )


def _shared(x: Table) -> tuple[float, float]:
    ranks = rankdata(x, axis=0)
    correlation = np.corrcoef(ranks.T)
    n = len(correlation)
    scaled = (x - x.mean(0)) / x.std(0)
    power = np.linalg.svd(scaled, compute_uv=False) ** 2
    return float((correlation.sum() - n) / (n * (n - 1))), float(power[0] / power.sum())


def bootstrap(table: Table, name: str, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap of the mean of a table [seeds, items], both resampled: for statistics
    without a formula, and as the yardstick in `bench/coverage.py`, which shows it too wide where
    replies are noisy and too narrow with few items."""
    low, high = np.quantile(resampled([table[None]], name), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resampled(evals: Sequence[npt.NDArray[np.float64]], name: str) -> Table:
    """[RESAMPLES, points]: the mean over evals, each [points, seeds, items], with items and seeds
    resampled; a draw takes the same items and seeds at every point, and the same seeds in every
    eval."""
    draw = rng(f"bootstrap-{name}")
    seeds = evals[0].shape[1]
    chosen = [
        draw.multinomial(e.shape[2], np.full(e.shape[2], 1 / e.shape[2]), RESAMPLES) / e.shape[2]
        for e in evals
    ]
    runs = draw.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    return np.mean(
        [
            np.einsum("ri,rs,psi->rp", c, runs, e, optimize=True)
            for c, e in zip(chosen, evals, strict=True)
        ],
        axis=0,
    )


def summary(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """One row per eval of a single policy: mean score with a 95% interval over items, probability,
    ungraded."""
    rows = []
    for name in dict.fromkeys(s.eval for s in scores):
        part = [s for s in scores if s.eval == name]
        means = [v for v in item_means(part, "score").values() if v is not None]
        chances = [v for v in item_means(part, "probability").values() if v is not None]
        known = mean([np.array([means])]).interval().clipped(0.0, 1.0) if len(means) > 1 else None
        rows.append(
            {
                "eval": name,
                "score": float(np.mean(means)) if means else None,
                "low": known and known.low,
                "high": known and known.high,
                "probability": float(np.mean(chances)) if chances else None,
                "items": len(means),
                "ungraded": sum(s.value is None for s in part),
            }
        )
    return rows
