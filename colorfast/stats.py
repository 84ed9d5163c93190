"""Statistics of the comparison: paired differences with intervals that include items and seeds."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from colorfast.types import ColorfastError, Score

RESAMPLES = 4000


def rng(name: str) -> np.random.Generator:
    """A generator by name: the same name gives the same draws on every machine."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def item_means(scores: Sequence[Score], measure: str) -> dict[str, float | None]:
    """Mean over samples per item; None where any sample is ungraded."""
    by_item: dict[str, list[float | None]] = defaultdict(list)
    for s in scores:
        by_item[s.item].append(s.value if measure == "score" else s.probability)
    return {
        item: None if any(v is None for v in values) else float(np.mean([v for v in values if v is not None]))
        for item, values in by_item.items()
    }


def paired(
    ours: Mapping[int, Mapping[str, float | None]], theirs: Mapping[int, Mapping[str, float | None]]
) -> tuple[np.ndarray, np.ndarray]:
    """Two tables [seeds, items] over the items that both graded under every seed.

    Raises ColorfastError when the two were not scored on the same seeds and items: such scores do not compare.
    """
    if set(ours) != set(theirs):
        raise ColorfastError(f"scores of different seeds: {sorted(ours)} and {sorted(theirs)}")
    seeds = sorted(ours)
    names = set(ours[seeds[0]])
    if any(set(table[seed]) != names for table in (ours, theirs) for seed in seeds):
        raise ColorfastError("scores of different items do not compare; evaluate both arms with the same settings")
    kept = [i for i in sorted(names) if all(t[s][i] is not None for t in (ours, theirs) for s in seeds)]
    return (np.array([[table[s][i] for i in kept] for s in seeds], dtype=float).reshape(len(seeds), len(kept)) for table in (ours, theirs))  # type: ignore[return-value]


def interval(differences: np.ndarray, name: str, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap of the mean of `differences` [seeds, items].

    Items are resampled, and seeds too when there is more than one, so that run-to-run variance is inside
    (the paper's intervals leave it out; method, section 6).
    """
    seeds, items = differences.shape
    draw = rng(f"bootstrap-{name}")
    chosen = draw.integers(0, items, (RESAMPLES, items))
    if seeds == 1:
        means = differences[0][chosen].mean(1)
    else:
        runs = draw.integers(0, seeds, (RESAMPLES, seeds))
        means = np.array([differences[r][:, c].mean() for r, c in zip(runs, chosen, strict=True)])
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def summary(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """One row per eval of a single policy: mean score with a bootstrap interval over items, probability, ungraded."""
    rows = []
    for name in dict.fromkeys(s.eval for s in scores):
        part = [s for s in scores if s.eval == name]
        means = [v for v in item_means(part, "score").values() if v is not None]
        chances = [v for v in item_means(part, "probability").values() if v is not None]
        low, high = interval(np.array([means]), f"summary-{name}") if means else (None, None)
        rows.append(
            {
                "eval": name,
                "score": float(np.mean(means)) if means else None,
                "low": low,
                "high": high,
                "probability": float(np.mean(chances)) if chances else None,
                "items": len(means),
                "ungraded": sum(s.value is None for s in part),
            }
        )
    return rows
