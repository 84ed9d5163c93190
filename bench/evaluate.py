"""Time of scoring choices: this engine against lm-evaluation-harness at its best batch size and
against plain transformers, on the same items in one run, with the share of equal decisions."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from rich.console import Console
from rich.table import Table

from colorfast.evals import benchmarks
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.types import Item, Message

ITEMS, SHOTS, BATCHES = 48, 5, (1, 8, 32)
SETS = {"mmlu-clinical-knowledge": SHOTS, "truthfulqa-mc1": 0, "power-seeking-inclination": 0}
Decide = Callable[[LocalPolicy, Sequence[Item]], list[int]]


def asked(name: str, shots: int) -> list[Item]:
    """Items of a benchmark, after `shots` solved ones in the same conversation."""
    items = benchmarks.chosen(benchmarks.get(name), ITEMS + shots)
    header: tuple[Message, ...] = ()
    for item in items[:shots]:
        header += (*item.messages, Message(role="assistant", content=item.choices[item.aligned[0]]))
    return [Item(i.id, header + i.messages, i.choices, i.aligned) for i in items[shots:]]


def best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def ours(policy: LocalPolicy, items: Sequence[Item]) -> list[int]:
    return [
        best(row)
        for row in policy.logprobs([i.messages for i in items], [i.choices for i in items])
    ]


def harness(batch: int) -> Decide:
    def decide(policy: LocalPolicy, items: Sequence[Item]) -> list[int]:
        lm = HFLM(
            pretrained=policy.model, tokenizer=policy.tokenizer, batch_size=batch, max_length=2048
        )
        texts = [lm.tokenizer.decode(policy.encode(i.messages)) for i in items]
        pairs = [
            (text, choice.strip())
            for text, i in zip(texts, items, strict=True)
            for choice in i.choices
        ]
        requests = [Instance("loglikelihood", {}, pair, n) for n, pair in enumerate(pairs)]
        told = iter(lm.loglikelihood(requests, disable_tqdm=True))
        return [best([next(told)[0] for _ in i.choices]) for i in items]

    return decide


@torch.no_grad()
def plain(policy: LocalPolicy, items: Sequence[Item]) -> list[int]:
    """One forward pass for each choice of each item."""
    found = []
    for item in items:
        prompt, values = policy.encode(item.messages), []
        for choice in item.choices:
            ids = policy.tokenizer(choice.strip(), add_special_tokens=False)["input_ids"]
            logps = (
                policy.model(torch.tensor([prompt + ids]))
                .logits[0, len(prompt) - 1 : -1]
                .log_softmax(-1)
            )
            values.append(float(sum(logps[i, token] for i, token in enumerate(ids))))
        found.append(best(values))
    return found


def main() -> None:
    logging.disable(logging.WARNING)
    policy = load_policy("SmolLM2-135M-Instruct")
    engines: dict[str, Decide] = {"colorfast": ours, "transformers, one by one": plain}
    engines |= {f"lm-evaluation-harness, batch {b}": harness(b) for b in BATCHES}
    rows = []
    for name, shots in SETS.items():
        items = asked(name, shots)
        ours(policy, items[:2])  # first calls pay for what is set up once
        told: dict[str, list[int]] = {}
        for engine, decide in engines.items():
            start = time.perf_counter()
            told[engine] = decide(policy, items)
            rows.append(
                {
                    "set": name,
                    "shots": shots,
                    "engine": engine,
                    "seconds": time.perf_counter() - start,
                }
            )
        for row in rows[-len(engines) :]:
            row["equal"] = sum(
                a == b for a, b in zip(told[row["engine"]], told["colorfast"], strict=True)
            ) / len(items)
    total = {engine: sum(r["seconds"] for r in rows if r["engine"] == engine) for engine in engines}
    rival = min((e for e in engines if e.startswith("lm-")), key=total.__getitem__)
    ratio, equal = (
        total[rival] / total["colorfast"],
        sum(r["equal"] for r in rows if r["engine"] == rival) / len(SETS),
    )
    table = Table(
        "items",
        "engine",
        "seconds",
        "decisions equal to colorfast",
        title=f"{ITEMS} items each, {torch.get_num_threads()} threads",
    )
    for row in rows:
        table.add_row(
            f"{row['set']}, {row['shots']}-shot",
            row["engine"],
            f"{row['seconds']:.1f}",
            f"{row['equal']:.3f}",
        )
    Console().print(
        table, f"all three: {ratio:.2f} times as fast as {rival}, {equal:.3f} of decisions equal"
    )
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    result = {
        "rows": rows,
        "total": total,
        "best": rival,
        "ratio": ratio,
        "equal": equal,
        "threads": torch.get_num_threads(),
    }
    (out / "evaluate.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
