"""Shared structure of many evals over models (method, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from colorfast.stats.intervals import Table, rng

DRAWS = 500
"""Shuffles of the null."""


@dataclass(frozen=True)
class Structure:
    """What evals have in common over models: mean pairwise Spearman correlation of evals, the share
    of the first principal component, and the middle 95% of each when the models of every eval are
    shuffled."""

    spearman: float
    spearman_null: tuple[float, float]
    component: float
    component_null: tuple[float, float]


def structure(values: Table, capability: npt.NDArray[np.float64] | None = None) -> Structure:
    """Shared structure of `values` [models, evals], with `capability` [models] regressed out if
    given. Leaves out evals on which all models agree.

    Raises ValueError with fewer than three models or two evals that differ.
    """
    x = values - values.mean(0)
    if capability is not None:
        c = capability - capability.mean()
        x = x - np.outer(c, c @ x) / (c @ c)
    x = x[:, x.std(0) > 1e-12]
    if x.shape[0] < 3 or x.shape[1] < 2:
        raise ValueError("shared structure needs three models and two evals on which they differ")
    draw = rng("structure")
    null = []
    for _ in range(DRAWS):
        null.append(_shared(np.column_stack([draw.permutation(column) for column in x.T])))
    (low, first), (high, last) = np.quantile(null, [0.025, 0.975], axis=0).tolist()
    spearman, component = _shared(x)
    return Structure(spearman, (low, high), component, (first, last))


def _shared(x: Table) -> tuple[float, float]:
    """(mean pairwise Spearman correlation of the columns, share of the first component)"""
    correlation = np.corrcoef(rankdata(x, axis=0).T)
    n = len(correlation)
    power = np.linalg.svd((x - x.mean(0)) / x.std(0), compute_uv=False) ** 2
    return float((correlation.sum() - n) / (n * (n - 1))), float(power[0] / power.sum())
