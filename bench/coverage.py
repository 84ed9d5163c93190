"""Errors of the statistics on simulated truth: coverage of 95% intervals (ours, and the plain
bootstrap), false discoveries, false equivalences, and the A/A rate, over seeds, items and
run-to-run variance."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product

import numpy as np
from output import print_rows, save

from colorfast.stats.intervals import adjusted, mean, resampled, rng, seed_share

EVALS, GAIN, MARGIN = 60, 0.2, 0.03


def comparison(
    draw: np.random.Generator, seeds: int, items: int, drift: float, gains: Sequence[float]
) -> list[np.ndarray]:
    """Differences [seeds, items] for each eval: right or wrong under either arm, items of all
    difficulties, and for every eval and seed a shift of standard deviation `drift` that no item
    shares in part."""
    differences = []
    for gain in gains:
        ease = draw.uniform(0.25, 0.75, items)
        shift = draw.normal(0, drift, seeds)[:, None]
        arm = draw.random((seeds, items)) < ease + gain + shift
        differences.append(arm.astype(float) - (draw.random((seeds, items)) < ease))
    return differences


def simulate(seeds: int, items: int, drift: float, runs: int) -> dict[str, float]:
    """Rates over `runs` comparisons of EVALS evals, half of which have a true gain of GAIN and half
    none."""
    draw = rng(f"coverage-{seeds}-{items}-{drift}")
    gains = [GAIN if k % 2 else 0.0 for k in range(EVALS)]
    covered = plain = together = same = discoveries = alike = 0
    false_rate = []
    for run in range(runs):
        tables = comparison(draw, seeds, items, drift, gains)
        share = seed_share(tables)
        means = [mean([t], share) for t in tables]
        intervals = [m.interval() for m in means]
        covered += sum(i.low <= gain <= i.high for i, gain in zip(intervals, gains, strict=True))
        draws = resampled([tables[run % EVALS][None]], f"{run}")
        low, high = np.quantile(draws, [0.025, 0.975])
        plain += low <= gains[run % EVALS] <= high
        total = mean(tables).interval()
        together += total.low <= GAIN / 2 <= total.high
        significant = [q < 0.05 for q in adjusted([m.p() for m in means])]
        wrong = sum(s for s, gain in zip(significant, gains, strict=True) if not gain)
        false_rate.append(wrong / max(1, sum(significant)))
        discoveries += sum(significant) - wrong
        alike += sum(m.p() < 0.05 for m, gain in zip(means, gains, strict=True) if not gain)
        # true differences that are just not equivalent
        edge = comparison(draw, seeds, items, drift, [MARGIN] * EVALS)
        same += mean(edge).equivalent(MARGIN) < 0.05
    return {
        "seeds": seeds,
        "items": items,
        "drift": drift,
        "coverage": covered / runs / EVALS,
        "coverage of the bootstrap": plain / runs,
        "coverage of the mean over evals": together / runs,
        "false discovery rate": float(np.mean(false_rate)),
        "found of the true gains": discoveries / runs / (EVALS / 2),
        "A/A, off zero": alike / runs / (EVALS / 2),
        "false equivalence": same / runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="comparisons simulated for each row")
    runs = parser.parse_args().runs
    rows = []
    for seeds, items in product((1, 2, 3, 5), (25, 100)):
        for drift in (0.0,) if seeds == 1 else (0.0, 0.03, 0.08):
            rows.append(simulate(seeds, items, drift, runs))
    drift = "drift: run-to-run standard deviation of an eval's score"
    print_rows(f"{runs} comparisons of {EVALS} evals per row; {drift}", rows)
    save("coverage", rows)


if __name__ == "__main__":
    sys.exit(main())
