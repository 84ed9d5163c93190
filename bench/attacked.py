"""bf16 against fp32 in an attack run: the same points of the embedded model in both precisions.
Prints the seconds, and how far the scores differ."""

from __future__ import annotations

import sys
import time
from dataclasses import astuple, replace
from itertools import chain

import numpy as np
from rich.console import Console
from rich.table import Table
from rl_step import save_with_threads

from colorfast.attacks.plan import Options, for_models
from colorfast.attacks.points import BATCH, ignore, point_asker
from colorfast.evals.evaluate import HELDOUT
from colorfast.models.cached_policy import CachedPolicy
from colorfast.models.cpu_linear import packed_linears
from colorfast.models.local import load_policy
from colorfast.models.request_batcher import run_batched
from colorfast.stats.intervals import mean
from colorfast.types import Score

MODEL, ATTACKS, ITEMS, POINTS = "SmolLM2-135M-Instruct", ("persona",), 24, 4
PRECISIONS = ("fp32", "bf16")


def measured(precision: str) -> tuple[float, list[Score]]:
    """Seconds, and every score in a fixed order."""
    model = replace(load_policy(MODEL, BATCH), precision=precision)
    plan = for_models({"a": MODEL, "b": MODEL}, Options(ATTACKS, ITEMS))
    policy = CachedPolicy(model)
    askers = [
        point_asker(policy, plan, attack, strength, ignore)
        for attack, strength in plan.points[:POINTS]
    ]
    start = time.perf_counter()
    with packed_linears(model.model, BATCH, precision):  # once, as an attack run does
        scores = list(chain.from_iterable(run_batched(policy, askers)))
    return time.perf_counter() - start, scores


def main() -> None:
    (slow, full), (fast, rounded) = (measured(precision) for precision in PRECISIONS)
    both = list(zip(full, rounded, strict=True))
    replies = [
        (a, b) for a, b in both if a.eval == HELDOUT and a.value is not None and b.value is not None
    ]
    choices = [(a, b) for a, b in both if a.probability is not None and b.probability is not None]
    traits = mean([np.array([[b.value - a.value for a, b in replies]])])  # type: ignore[operator]
    likely = np.array([b.probability - a.probability for a, b in choices])  # type: ignore[operator]
    results = {
        "seconds, fp32": slow,
        "seconds, bf16": fast,
        "ratio": slow / fast,
        "held-out replies": len(replies),
        "word for word the same": float(np.mean([a.reply == b.reply for a, b in replies])),
        "held-out score, bf16 minus fp32": traits.value,
        "its 95% interval": astuple(traits.interval())[1:],
        "choices": len(choices),
        "equal decisions": float(np.mean([a.value == b.value for a, b in choices])),
        "probability of the aligned answers, bf16 minus fp32, mean": float(likely.mean()),
        "of its size, mean": float(np.abs(likely).mean()),
    }
    table = Table(
        "measure", "value", title=f"{POINTS} points of {MODEL} under {', '.join(ATTACKS)}"
    )
    for name, value in results.items():
        table.add_row(name, ", ".join(f"{v:.3f}" for v in np.atleast_1d(value)))
    Console().print(table)
    save_with_threads("attacked", results)


if __name__ == "__main__":
    sys.exit(main())
