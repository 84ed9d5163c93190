"""Errors of the dose-response fit on simulated truth: how often the interval of the half-gain dose
holds it, how often it is not identified, how often a dose without a gain is named, over seeds,
items, the size of the gain and the place of its half."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from colorfast.analysis.dose import Point, fitted, gains, smallest
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
        return (
            draw.random((seeds, items))
            < ease + gain * taste + draw.normal(0, DRIFT, seeds)[:, None]
        ).astype(float)

    base = arm(0.0)
    return [arm(gain) - base for gain in truth]


def simulate(seeds: int, items: int, top: float, c: float, runs: int) -> dict[str, float]:
    """Rates over `runs` x EVALS curves of gain `top` at dose 1 and half-saturation c."""
    draw, truth, half = (
        rng(f"dose-{seeds}-{items}-{top}-{c}"),
        [top * d * (c + 1) / (c + d) for d in DOSES],
        c / (2 * c + 1),
    )
    covered, named, misfits, widths, curves = [], [], 0, [], runs * EVALS
    for run in range(runs):
        sets = [comparison(draw, seeds, items, truth) for _ in range(EVALS)]
        share = seed_share([t for one in sets for t in one])
        for k, one in enumerate(sets):
            means = [mean([t], share) for t in one]
            points = [Point(d, "", m.interval(), None) for d, m in zip(DOSES, means, strict=True)]
            named.append(smallest(points, +1))
            fit = fitted(gains(DOSES, one, means), f"{run}-{k}")
            misfits += fit is not None and fit.kind == "monotone"
            if fit is not None and fit.half.dose is not None:
                covered.append(fit.half.dose.low <= half <= fit.half.dose.high)
                widths.append((fit.half.dose.low, fit.half.dose.high))
    found = [d for d in named if d is not None]
    return {
        "seeds": seeds,
        "items": items,
        "gain at 100%": top,
        "half-gain dose": half if top else float("nan"),
        "identified": len(covered) / curves,
        "coverage": float(np.mean(covered)) if covered and top else float("nan"),
        "median low": (
            float(np.median([low for low, _ in widths])) if top and widths else float("nan")
        ),
        "median high": (
            float(np.median([high for _, high in widths])) if top and widths else float("nan")
        ),
        "misfit": misfits / curves,
        "a dose named": len(found) / curves,
        "median of it": float(np.median(found)) if found else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=30, help=f"comparisons of {EVALS} evals simulated for each row"
    )
    runs = parser.parse_args().runs
    settings = [
        (s, i, top, c)
        for s, i in ((1, 90), (2, 25), (2, 90), (3, 390))
        for top, c in ((0.0, 0.05), (0.15, 0.05), (0.3, 0.05))
    ]
    settings += [(2, 90, 0.3, 0.01), (2, 90, 0.3, 0.5), (3, 390, 0.2, 0.5)]
    rows = [simulate(*setting, runs) for setting in settings]
    table = Table(
        *rows[0],
        title=(
            f"{runs} x {EVALS} curves a row, doses {', '.join(f'{d:g}' for d in DOSES)}; drift"
            f" {DRIFT}"
        ),
    )
    for row in rows:
        table.add_row(
            *(
                "-" if v != v else f"{v:.3f}" if isinstance(v, float) else str(v)
                for v in row.values()
            )
        )
    Console(width=150).print(table)
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    (out / "dose.json").write_text(
        json.dumps([{k: None if v != v else v for k, v in row.items()} for row in rows], indent=1)
        + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
