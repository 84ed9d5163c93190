"""Trait directions in a model's activations: where good replies lie against bad ones (persona
vectors, arXiv 2507.21509)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from colorfast.stats.intervals import Mean, mean, rng

Floats = npt.NDArray[np.floating]
CONTROLS = 99
"""Control directions of a trait: with so many, the smallest p is .01."""
FEWEST = 4
"""Training scenarios that a direction needs: two to make it, two to choose its layer."""


@dataclass(frozen=True)
class Direction:
    """The mean difference of good and bad replies at one layer: a unit `vector` [width] and its
    length `gap`.

    `controls` [CONTROLS, width]: unit vectors of the same differences with half of them flipped, so
    that what the scenarios have in common cancels and everything else stays. (A random direction
    would lie mostly along the few huge coordinates of the residual stream, and would be no match.)
    """

    trait: str
    layer: int
    gap: float
    vector: Floats
    controls: Floats

    def project(self, x: Floats) -> Floats:
        """[pairs, layers, width] -> [pairs, 1 + CONTROLS]: how far along the direction, then along
        each control, in gaps."""
        return x[:, self.layer] @ np.vstack([self.vector, self.controls]).T / self.gap


def auc(good: Floats, bad: Floats) -> Mean:
    """The chance that a good reply lies above a bad one; ties count half. good[i] and bad[i] answer
    the same scenario.

    The error is DeLong's with scenarios as clusters (Obuchowski 1997): each counts by its
    placements among all the others.
    """
    above = (good[:, None] > bad[None, :]) + 0.5 * (good[:, None] == bad[None, :])
    placements = above.mean(1) + above.mean(0) - above.mean()
    return mean([placements[None, :]])


def _separation(good: Floats, bad: Floats) -> tuple[float, float]:
    """AUC; then the distance in standard deviations, for layers with equal AUC (few scenarios often
    separate fully)."""
    spread = float(np.sqrt((good.var() + bad.var()) / 2))
    return auc(good, bad).value, float(good.mean() - bad.mean()) / spread if spread else 0.0


def direction(trait: str, good: Floats, bad: Floats) -> Direction:
    """The direction of a trait, from good and bad replies [scenarios, layers, width] to the same
    training scenarios, in any order but a sorted one.

    Every second scenario makes a direction at each layer, the others choose the layer, and all make
    the direction at that layer. The embeddings and the last layer, behind the final norm, are not
    candidates. Raises ValueError with fewer than FEWEST scenarios, or none that differ.
    """
    scenarios, layers, _ = good.shape
    if scenarios < FEWEST:
        raise ValueError(f"{scenarios} training scenarios, a direction needs {FEWEST}")
    differences = good - bad
    first = differences[::2].mean(0)

    def separation(k: int) -> tuple[float, float]:
        return _separation(good[1::2, k] @ first[k], bad[1::2, k] @ first[k])

    layer = max(range(1, max(2, layers - 1)), key=separation)
    whole = differences[:, layer].mean(0)
    gap = float(np.linalg.norm(whole))
    if not gap:
        raise ValueError("good and bad replies do not differ inside")
    signs = np.where(np.arange(scenarios) % 2, -1, 1)
    flips = rng(f"controls-{trait}").permuted(np.tile(signs, (CONTROLS, 1)), axis=1)
    flipped = flips @ differences[:, layer]
    controls = flipped / np.linalg.norm(flipped, axis=1, keepdims=True)
    return Direction(trait, layer, gap, whole / gap, controls)
