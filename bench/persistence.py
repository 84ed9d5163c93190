"""Errors of the verdict on selective persistence: how often arms with known drops and
lifts get each verdict."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from itertools import product

import numpy as np
from output import save
from rich.console import Console
from rich.table import Table

from colorfast.stats.intervals import rng
from colorfast.stats.persistence import MARGIN, VERDICTS, AttackScores, persistence

LEVELS = (0.40, 0.46)
"""Clean levels of baseline and arm: they start apart, as in the paper."""
NOISE, DRIFT = 0.15, 0.01
"""Standard deviations: of a reply's score about its item's level, and of a whole run's."""
TRUTHS = {
    "selective": ((0.20, 0.05), (0.09, 0.09)),
    "falls alike": ((0.20, 0.20), (0.09, 0.09)),
    "falls further": ((0.10, 0.20), (0.09, 0.09)),
    "rigid": ((0.20, 0.00), (0.09, 0.00)),
    "rises less": ((0.20, 0.05), (0.09, 0.03)),
    "rises less by the margin": ((0.20, 0.05), (0.09, 0.09 - MARGIN)),
    "attack without effect": ((0.00, 0.00), (0.09, 0.09)),
}
"""True (drops, lifts) of baseline and arm."""


def simulate(
    draw: np.random.Generator,
    seeds: int,
    items: int,
    drops: tuple[float, float],
    lifts: tuple[float, float],
) -> list[AttackScores]:
    """Baseline and arm on the same items, which are of all difficulties. Scores are not cut at 0
    and 1, so that the truth is exact."""
    ease = draw.uniform(-0.2, 0.2, items)

    def table(level: float) -> list[np.ndarray]:
        run = draw.normal(0, DRIFT if seeds > 1 else 0, (seeds, 1))
        return [level + ease + run + draw.normal(0, NOISE, (seeds, items))]

    return [
        AttackScores(table(c), table(c - d), table(c + p))
        for c, d, p in zip(LEVELS, drops, lifts, strict=True)
    ]


def rates(truth: str, seeds: int, items: int, runs: int) -> dict[str, float]:
    """The share of `runs` comparisons that got each verdict."""
    draw = rng(f"persistence-{truth}-{seeds}-{items}")
    verdicts = Counter(
        persistence(*simulate(draw, seeds, items, *TRUTHS[truth])).verdict for _ in range(runs)
    )
    return {verdict: verdicts[verdict] / runs for verdict in VERDICTS if verdicts[verdict]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="comparisons simulated for each row")
    runs = parser.parse_args().runs
    table = Table("truth", "seeds", "items", "verdicts", title=f"{runs} comparisons a row")
    rows = []
    for truth, (seeds, items) in product(TRUTHS, ((1, 40), (1, 400), (1, 1600), (3, 400))):
        verdicts = rates(truth, seeds, items, runs)
        rows.append({"truth": truth, "seeds": seeds, "items": items, "verdicts": verdicts})
        text = ", ".join(f"{verdict} {rate:.2f}" for verdict, rate in verdicts.items())
        table.add_row(truth, str(seeds), str(items), text)
    Console(width=150).print(table)
    save("persistence", rows)


if __name__ == "__main__":
    sys.exit(main())
