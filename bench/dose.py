"""Errors of the dose-response fit on simulated truth: how often the interval of the half-gain dose
holds it, how often it is not identified, how often a dose without a gain is named, over seeds,
items, the size of the gain and the place of its half."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from itertools import chain, product

import numpy as np
from output import print_rows, save

from colorfast.analysis.dose import Point, smallest
from colorfast.analysis.dose_curve import fitted, gains
from colorfast.stats.intervals import mean, rng, seed_share

DOSES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
DRIFT, EVALS = 0.02, 20
"""Run-to-run standard deviation of a score; evals that share what is known of it."""


def comparison(
    draw: np.random.Generator, seeds: int, items: int, truth: Sequence[float]
) -> list[np.ndarray]:
    """Differences [seeds, items] of each dose from one baseline; the gain differs from item to
    item."""
    ease, taste = draw.uniform(0.1, 0.5, items), 1 + draw.normal(0, 0.5, items)

    def arm(gain: float) -> np.ndarray:
        draws = draw.random((seeds, items))
        chance = ease + gain * taste + draw.normal(0, DRIFT, seeds)[:, None]
        return (draws < chance).astype(float)

    base = arm(0.0)
    return [arm(gain) - base for gain in truth]


def simulate(seeds: int, items: int, top: float, c: float, runs: int) -> dict[str, float]:
    """Rates over `runs` x EVALS curves of gain `top` at dose 1 and half-saturation c."""
    draw = rng(f"dose-{seeds}-{items}-{top}-{c}")
    truth = [top * d * (c + 1) / (c + d) for d in DOSES]
    half = c / (2 * c + 1)
    covered, smallest_doses, misfits, lows, highs = [], [], 0, [], []
    for run in range(runs):
        sets = [comparison(draw, seeds, items, truth) for _ in range(EVALS)]
        share = seed_share(list(chain.from_iterable(sets)))
        for k, one in enumerate(sets):
            means = [mean([t], share) for t in one]
            points = [Point(d, "", m.interval(), None) for d, m in zip(DOSES, means, strict=True)]
            smallest_doses.append(smallest(points, +1))
            fit = fitted(gains(DOSES, one, means), f"{run}-{k}")
            misfits += fit is not None and fit.kind == "monotone"
            if fit is not None and fit.half is not None:
                covered.append(fit.half.low <= half <= fit.half.high)
                lows.append(fit.half.low)
                highs.append(fit.half.high)
    curves = runs * EVALS
    named = [dose for dose in smallest_doses if dose is not None]
    return {
        "seeds": seeds,
        "items": items,
        "gain at 100%": top,
        "half-gain dose": half if top else math.nan,
        "identified": len(covered) / curves,
        "coverage": float(np.mean(covered)) if covered and top else math.nan,
        "median low": float(np.median(lows)) if lows and top else math.nan,
        "median high": float(np.median(highs)) if highs and top else math.nan,
        "misfit": misfits / curves,
        "a dose named": len(named) / curves,
        "median of it": float(np.median(named)) if named else math.nan,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=30, help=f"comparisons of {EVALS} evals simulated for each row"
    )
    runs = parser.parse_args().runs
    sizes = ((1, 90), (2, 25), (2, 90), (3, 390))
    curves = ((0.0, 0.05), (0.15, 0.05), (0.3, 0.05))
    settings = [(*size, *curve) for size, curve in product(sizes, curves)]
    settings += [(2, 90, 0.3, 0.01), (2, 90, 0.3, 0.5), (3, 390, 0.2, 0.5)]
    rows = [simulate(*setting, runs) for setting in settings]
    doses = ", ".join(f"{d:g}" for d in DOSES)
    print_rows(f"{runs} x {EVALS} curves per row, doses {doses}; drift {DRIFT}", rows)
    save("dose", [_without_nan(row) for row in rows])


def _without_nan(row: dict[str, float]) -> dict[str, float | None]:
    return {key: None if math.isnan(value) else value for key, value in row.items()}


if __name__ == "__main__":
    sys.exit(main())
