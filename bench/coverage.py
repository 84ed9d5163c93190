"""Errors of the statistics on simulated truth: coverage of 95% intervals (ours, and the plain
bootstrap), false discoveries, false equivalences, and the A/A rate, over seeds, items and
run-to-run variance."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from colorfast.stats.intervals import adjusted, bootstrap, mean, rng, seed_share

EVALS, GAIN, MARGIN = 60, 0.2, 0.03


def comparison(
    draw: np.random.Generator, seeds: int, items: int, drift: float, gains: Sequence[float]
) -> list[np.ndarray]:
    """Differences [seeds, items] for each eval: right or wrong under either arm, items of all
    difficulties, and for every eval and seed a shift of standard deviation `drift` that no item
    shares in part."""
    made = []
    for gain in gains:
        ease = draw.uniform(0.25, 0.75, items)
        shift = draw.normal(0, drift, seeds)[:, None]
        arm = draw.random((seeds, items)) < ease + gain + shift
        made.append(arm.astype(float) - (draw.random((seeds, items)) < ease))
    return made


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
        found = [mean([t], share) for t in tables]
        between = [m.interval() for m in found]
        covered += sum(i.low <= gain <= i.high for i, gain in zip(between, gains, strict=True))
        low, high = bootstrap(tables[run % EVALS], f"{run}")
        plain += low <= gains[run % EVALS] <= high
        total = mean(tables).interval()
        together += total.low <= GAIN / 2 <= total.high
        stands = [q < 0.05 for q in adjusted([m.p() for m in found])]
        wrong = sum(s for s, gain in zip(stands, gains, strict=True) if not gain)
        false_rate.append(wrong / max(1, sum(stands)))
        discoveries += sum(stands) - wrong
        alike += sum(m.p() < 0.05 for m, gain in zip(found, gains, strict=True) if not gain)
        edge = comparison(
            draw, seeds, items, drift, [MARGIN] * EVALS
        )  # a true difference that is just not equivalent
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
    settings = [
        (s, i, d)
        for s in (1, 2, 3, 5)
        for i in (25, 100)
        for d in ((0.0,) if s == 1 else (0.0, 0.03, 0.08))
    ]
    rows = [simulate(*setting, runs) for setting in settings]
    table = Table(
        *rows[0],
        title=(
            f"{runs} comparisons of {EVALS} evals a row; drift: run-to-run standard deviation of an"
            " eval's score"
        ),
    )
    for row in rows:
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=150).print(table)
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    (out / "coverage.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
