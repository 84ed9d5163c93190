"""Time of scoring choices: this engine against lm-evaluation-harness at its best batch size and
against plain transformers, on the same items in one run, with the share of equal decisions."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from output import save
from rich.console import Console
from rich.table import Table

from colorfast.evals import benchmarks
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.types import Item, Message

ITEMS, SHOTS, BATCHES = 48, 5, (1, 8, 32)
SETS = {"mmlu-clinical-knowledge": SHOTS, "truthfulqa-mc1": 0, "power-seeking-inclination": 0}
Decide = Callable[[LocalPolicy, Sequence[Item]], list[int]]


def questions(name: str, shots: int) -> list[Item]:
    """Items of a benchmark, after `shots` solved ones in the same conversation."""
    items = benchmarks.chosen(benchmarks.get(name), ITEMS + shots)
    header: tuple[Message, ...] = ()
    for item in items[:shots]:
        header += (*item.messages, Message(role="assistant", content=item.choices[item.aligned[0]]))
    return [Item(i.id, header + i.messages, i.choices, i.aligned) for i in items[shots:]]


def best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def ours(policy: LocalPolicy, items: Sequence[Item]) -> list[int]:
    logs = policy.logprobs([i.messages for i in items], [i.choices for i in items])
    return [best(row) for row in logs]


def harness(batch: int) -> Decide:
    def decide(policy: LocalPolicy, items: Sequence[Item]) -> list[int]:
        lm = HFLM(
            pretrained=policy.model, tokenizer=policy.tokenizer, batch_size=batch, max_length=2048
        )
        requests = []
        for item in items:
            text = lm.tokenizer.decode(policy.encode(item.messages))
            for choice in item.choices:
                pair = (text, choice.strip())
                requests.append(Instance("loglikelihood", {}, pair, len(requests)))
        answers = iter(lm.loglikelihood(requests, disable_tqdm=True))
        decisions = []
        for item in items:
            decisions.append(best([next(answers)[0] for _ in item.choices]))
        return decisions

    return decide


@torch.no_grad()
def plain(policy: LocalPolicy, items: Sequence[Item]) -> list[int]:
    """One forward pass for each choice of each item."""
    decisions = []
    for item in items:
        prompt, values = policy.encode(item.messages), []
        for choice in item.choices:
            ids = policy.tokenizer(choice.strip(), add_special_tokens=False)["input_ids"]
            logits = policy.model(torch.tensor([prompt + ids])).logits
            logps = logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            values.append(float(sum(logps[i, token] for i, token in enumerate(ids))))
        decisions.append(best(values))
    return decisions


def measure(
    policy: LocalPolicy, engines: dict[str, Decide], name: str, shots: int
) -> list[dict[str, Any]]:
    """Seconds and decisions of every engine on one benchmark."""
    items = questions(name, shots)
    ours(policy, items[:2])  # the first call pays for one-time work
    rows: list[dict[str, Any]] = []
    decisions: list[int] = []
    for engine, decide in engines.items():
        start = time.perf_counter()
        other = decide(policy, items)
        seconds = time.perf_counter() - start
        decisions = decisions or other  # colorfast is the first engine
        equal = sum(a == b for a, b in zip(other, decisions, strict=True)) / len(items)
        rows.append(
            {"set": name, "shots": shots, "engine": engine, "seconds": seconds, "equal": equal}
        )
    return rows


def main() -> None:
    logging.disable(logging.WARNING)
    policy = load_policy("SmolLM2-135M-Instruct")
    engines: dict[str, Decide] = {"colorfast": ours, "transformers, one by one": plain}
    engines |= {f"lm-evaluation-harness, batch {b}": harness(b) for b in BATCHES}
    rows = []
    for name, shots in SETS.items():
        rows += measure(policy, engines, name, shots)
    total = {engine: sum(r["seconds"] for r in rows if r["engine"] == engine) for engine in engines}
    rival = min((e for e in engines if e.startswith("lm-")), key=total.__getitem__)
    ratio = total[rival] / total["colorfast"]
    equal = sum(r["equal"] for r in rows if r["engine"] == rival) / len(SETS)
    threads = torch.get_num_threads()
    table = Table(
        "items",
        "engine",
        "seconds",
        "decisions equal to colorfast",
        title=f"{ITEMS} items each, {threads} threads",
    )
    for row in rows:
        items = f"{row['set']}, {row['shots']}-shot"
        table.add_row(items, row["engine"], f"{row['seconds']:.1f}", f"{row['equal']:.3f}")
    summary = f"all three: {ratio:.2f} times as fast as {rival}, {equal:.3f} of decisions equal"
    Console().print(table, summary)
    results = {"rows": rows, "total": total, "best": rival, "ratio": ratio, "equal": equal}
    save("evaluate", results | {"threads": threads})


if __name__ == "__main__":
    sys.exit(main())
