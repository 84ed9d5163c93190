"""How often the rules on the paper's claims err: verdicts on simulated runs in which every arm has
the paper's effect, a third of it, or none."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from colorfast.analysis.claims import load, rulings
from colorfast.analysis.results import Evidence
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
    """Right-or-wrong items of all difficulties; every arm has `share` of the paper's gain,
    capability moves in none."""
    draw = rng(f"claims-{name}-{share}")
    held = {f"{d}-{k}": d for d in DOMAINS for k in range(items // 2)}
    evals = [benchmarks.get(b) for b in e.evaluation.benchmarks]
    asked = {"heldout": list(held)} | {b.id: [f"{b.id}-{k}" for k in range(items)] for b in evals}
    still = {b.id for b in evals if b.control}
    ease = {eval_id: draw.uniform(0.2, 0.7, len(names)) for eval_id, names in asked.items()}
    scores: dict[str, dict[int, list[Score]]] = defaultdict(dict)
    for arm in e.arms:
        for seed in e.seeds:
            rows: list[Score] = []
            for eval_id, names in asked.items():
                gain = (
                    0.0
                    if eval_id in still or arm not in GAINS
                    else share * (HELD if eval_id == "heldout" else GAINS[arm])
                )
                right = draw.random(len(names)) < ease[eval_id] + gain + draw.normal(0, DRIFT)
                rows += [
                    Score(eval_id, n, 0, float(r), reply="Yes.")
                    for n, r in zip(names, right, strict=True)
                ]
            scores[arm][seed] = rows
    return Evidence(e, scores, dict.fromkeys(held, "truthfulness"), held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="simulated runs for each truth")
    parser.add_argument("--evals", type=int, default=43, help="of the standard suite")
    parser.add_argument("--items", type=int, default=100, help="of each eval")
    parser.add_argument("--seeds", type=int, default=3, help="of each arm")
    a = parser.parse_args()
    e = experiment(a.evals, a.seeds)
    found: dict[float, dict[str, Counter[str]]] = {}
    for share in (1.0, 1 / 3, 0.0):
        found[share] = {claim.id: Counter() for claim in load()}
        for run in track(
            range(a.runs), f"{share:.0%} of the paper's effect", console=Console(stderr=True)
        ):
            for r in rulings(simulate(e, a.items, share, str(run))):
                found[share][r.claim.id][r.verdict] += 1
    what = (
        f"{a.runs} runs each of {len(e.evaluation.benchmarks)} evals x {a.items} items x {a.seeds}"
        " seeds"
    )
    table = Table(
        "claim",
        "the paper's effect",
        "a third of it",
        "none",
        title=f"{what}: replicated / not replicated / inconclusive",
    )
    for claim in load():
        counts = [found[share][claim.id] for share in found]
        if all(c["not measured"] < a.runs for c in counts):
            table.add_row(
                claim.id,
                *(" / ".join(f"{c[v] / a.runs:.2f}" for v in VERDICTS[:3]) for c in counts),
            )
    Console(width=150).print(table)
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    rows = {
        f"{share:.3f}": {claim: {v: c[v] / a.runs for v in VERDICTS} for claim, c in by.items()}
        for share, by in found.items()
    }
    (out / "claims.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
