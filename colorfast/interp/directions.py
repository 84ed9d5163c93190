"""Trait directions in a model's activations: where good replies lie against bad ones (persona
vectors, arXiv 2507.21509)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from colorfast.stats.intervals import Mean, mean, rng

Floats = npt.NDArray[np.floating]
CONTROLS = 99
"""Directions to hold a trait's against: with so many, the smallest p is .01."""
FEWEST = 4
"""Training scenarios that a direction needs: two to make it, two to choose its layer."""


@dataclass(frozen=True)
class Direction:
    """The mean difference of good and bad replies at one layer, as a unit `vector` [width] and its
    length `gap`.

    `controls` [CONTROLS, width]: unit vectors made of the same differences with every second one
    turned round, so that what the scenarios have in common cancels and all else stays. (A direction
    drawn at random would lie mostly where the residual stream has its few huge coordinates, and
    would be no match.)
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
    """The chance that a good reply lies above a bad one, ties counting half; good[i] and bad[i]
    answer the same scenario.

    The error is DeLong's with scenarios as clusters (Obuchowski 1997): each counts by its
    placements among all the others.
    """
    above = (good[:, None] > bad[None, :]) + 0.5 * (good[:, None] == bad[None, :])
    placed = above.mean(1) + above.mean(0) - above.mean()
    return mean([placed[None, :]])


def _apart(good: Floats, bad: Floats) -> tuple[float, float]:
    """AUC, and between layers that separate equally well (few scenarios often separate fully) the
    distance in deviations."""
    spread = float(np.sqrt((good.var() + bad.var()) / 2))
    return auc(good, bad).value, float(good.mean() - bad.mean()) / spread if spread else 0.0


def direction(trait: str, good: Floats, bad: Floats) -> Direction:
    """From good and bad replies to the same training scenarios, [scenarios, layers, width] each, in
    any order but a sorted one.

    Every second scenario makes a direction at each layer, the others choose the layer, all make the
    direction at that layer. Neither the embeddings nor the last layer, behind the final norm, are
    candidates. Raises ValueError with fewer than FEWEST scenarios or none that differ.
    """
    scenarios, layers, _ = good.shape
    if scenarios < FEWEST:
        raise ValueError(f"{scenarios} training scenarios, a direction needs {FEWEST}")
    apart = good - bad
    first = apart[::2].mean(0)
    among = range(1, max(2, layers - 1))
    layer = max(among, key=lambda k: _apart(good[1::2, k] @ first[k], bad[1::2, k] @ first[k]))
    whole = apart[:, layer].mean(0)
    gap = float(np.linalg.norm(whole))
    if not gap:
        raise ValueError("good and bad replies do not differ inside")
    sides = rng(f"controls-{trait}").permuted(
        np.tile(np.where(np.arange(scenarios) % 2, -1, 1), (CONTROLS, 1)), axis=1
    )
    turned = sides @ apart[:, layer]
    return Direction(
        trait, layer, gap, whole / gap, turned / np.linalg.norm(turned, axis=1, keepdims=True)
    )
