"""Errors of the verdict on selective persistence: how often each is given to arms whose true drops
and lifts are known."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
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


def washed(
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
    given = Counter(
        persistence(*washed(draw, seeds, items, *TRUTHS[truth])).verdict for _ in range(runs)
    )
    return {verdict: given[verdict] / runs for verdict in VERDICTS if given[verdict]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="comparisons simulated for each row")
    runs = parser.parse_args().runs
    rows = [
        {
            "truth": truth,
            "seeds": seeds,
            "items": items,
            "verdicts": rates(truth, seeds, items, runs),
        }
        for truth in TRUTHS
        for seeds, items in ((1, 40), (1, 400), (1, 1600), (3, 400))
    ]
    table = Table("truth", "seeds", "items", "verdicts", title=f"{runs} comparisons a row")
    for row in rows:
        said = ", ".join(f"{verdict} {rate:.2f}" for verdict, rate in row["verdicts"].items())  # type: ignore[attr-defined]
        table.add_row(str(row["truth"]), str(row["seeds"]), str(row["items"]), said)
    Console(width=150).print(table)
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    (out / "persistence.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
