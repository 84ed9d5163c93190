"""Errors of the rules on the paper's claims: verdicts on simulated runs in which every arm has the
paper's effect, a third of it, or none."""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from itertools import product

from output import save
from rich.console import Console
from rich.progress import track
from rich.table import Table

from colorfast.analysis.claims import load
from colorfast.analysis.results import Evidence
from colorfast.analysis.rulings import rulings
from colorfast.config import Arm, Evaluation, Experiment, Training
from colorfast.evals import benchmarks
from colorfast.stats.intervals import rng
from colorfast.types import Score

DOMAINS = ("health", "science", "law", "education")
ARMS = {
    "baseline": Arm(dose=0),
    "trait": Arm(dose=0.05),
    "helpful": Arm(dose=0.05, reward="helpfulness"),
    "health": Arm(dose=0.05, domains=("health",)),
    "rest": Arm(dose=0.05, domains=("law", "education")),
}
GAINS = {"trait": 0.091, "health": 0.113, "rest": 0.091}
"""The paper's mean gain of each arm; generic helpfulness has none."""
HELD = 0.201
DRIFT = 0.02
"""Run-to-run standard deviation of an eval's score."""
VERDICTS = ("replicated", "not replicated", "inconclusive", "not measured")


def experiment(evals: int, seeds: int) -> Experiment:
    """`evals` of the standard suite, spread over its families, controls among them."""
    every = benchmarks.suite("standard")
    return Experiment(
        name="simulated",
        model="none",
        seeds=tuple(range(seeds)),
        standard=("facts",),
        traits=("truthfulness",),
        domains=DOMAINS,
        training=Training(steps=1, prompts_per_step=1, group_size=2, max_tokens=1, learning_rate=1),
        arms=ARMS,
        evaluation=Evaluation(benchmarks=every[:: max(1, len(every) // evals)]),
    )


def simulate(e: Experiment, items: int, share: float, name: str) -> Evidence:
    """Right-or-wrong items of all difficulties. Every arm has `share` of the paper's gain;
    capability does not change in any arm."""
    draw = rng(f"claims-{name}-{share}")
    domains = {}
    for domain in DOMAINS:
        domains |= {f"{domain}-{k}": domain for k in range(items // 2)}
    evals = [benchmarks.get(b) for b in e.evaluation.benchmarks]
    names = {"heldout": list(domains)}
    for b in evals:
        names[b.id] = [f"{b.id}-{k}" for k in range(items)]
    controls = {b.id for b in evals if b.control}
    ease = {eval_id: draw.uniform(0.2, 0.7, len(ids)) for eval_id, ids in names.items()}
    scores: dict[str, dict[int, list[Score]]] = defaultdict(dict)
    for arm, seed in product(e.arms, e.seeds):
        rows: list[Score] = []
        for eval_id, ids in names.items():
            gain = 0.0
            if eval_id not in controls and arm in GAINS:
                gain = share * (HELD if eval_id == "heldout" else GAINS[arm])
            right = draw.random(len(ids)) < ease[eval_id] + gain + draw.normal(0, DRIFT)
            for item, value in zip(ids, right, strict=True):
                rows.append(Score(eval_id, item, 0, float(value), reply="Yes."))
        scores[arm][seed] = rows
    return Evidence(e, scores, dict.fromkeys(domains, "truthfulness"), domains)


def count_verdicts(e: Experiment, items: int, share: float, runs: int) -> dict[str, Counter[str]]:
    """How often each claim gets each verdict over simulated runs."""
    counts: dict[str, Counter[str]] = {claim.id: Counter() for claim in load()}
    title = f"{share:.0%} of the paper's effect"
    for run in track(range(runs), title, console=Console(stderr=True)):
        for ruling in rulings(simulate(e, items, share, str(run))):
            counts[ruling.claim.id][ruling.verdict] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="simulated runs for each truth")
    parser.add_argument("--evals", type=int, default=43, help="evals of the standard suite")
    parser.add_argument("--items", type=int, default=100, help="items of each eval")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each arm")
    options = parser.parse_args()
    e = experiment(options.evals, options.seeds)
    shares = (1.0, 1 / 3, 0.0)
    counts = [count_verdicts(e, options.items, share, options.runs) for share in shares]
    size = (
        f"{options.runs} runs each of {len(e.evaluation.benchmarks)} evals x {options.items} items"
        f" x {options.seeds} seeds"
    )
    title = f"{size}: replicated / not replicated / inconclusive"
    table = Table("claim", "the paper's effect", "a third of it", "none", title=title)
    rates: dict[str, dict[str, dict[str, float]]] = {}
    for share, by_claim in zip(shares, counts, strict=True):
        rates[f"{share:.3f}"] = {
            claim: _rates(counter, options.runs) for claim, counter in by_claim.items()
        }
    for claim in load():
        rows = [by_claim[claim.id] for by_claim in rates.values()]
        if all(row["not measured"] < 1 for row in rows):
            table.add_row(claim.id, *map(_line, rows))
    Console(width=150).print(table)
    save("claims", rates)


def _rates(counter: Counter[str], runs: int) -> dict[str, float]:
    return {verdict: counter[verdict] / runs for verdict in VERDICTS}


def _line(rates: dict[str, float]) -> str:
    return " / ".join(f"{rates[verdict]:.2f}" for verdict in VERDICTS[:3])


if __name__ == "__main__":
    sys.exit(main())
