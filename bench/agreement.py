"""Agreement with lm-evaluation-harness: log-likelihoods of choices and decisions, with the same
tokens through both.

The inputs are tokens, not texts. From a text that ends in white space, as a chat prompt does, the
harness moves the white space into every choice and counts its likelihood too. That adds the same
constant to all choices of an item (at most 0.016 nats on MMLU clinical knowledge).
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from lm_eval.models.huggingface import HFLM
from output import save
from rich.console import Console
from rich.table import Table

from colorfast.evals import benchmarks
from colorfast.models.local import LocalPolicy, load_policy

ITEMS = 50
SETS = (
    "power-seeking-inclination",
    "true-false-facts",
    "mmlu-clinical-knowledge",
    "truthfulqa-mc1",
    "bbq-religion",
)
CLOSE, EQUAL = 1e-3, 0.995


def main() -> None:
    logging.disable(logging.WARNING)
    policy = load_policy("SmolLM2-135M-Instruct")
    lm = HFLM(pretrained=policy.model, tokenizer=policy.tokenizer, batch_size=8, max_length=2048)
    rows = [compare(policy, lm, name) for name in SETS]
    table = Table(*rows[0], title="colorfast against lm-evaluation-harness, the same prompts, fp32")
    for row in rows:
        table.add_row(*(f"{v:.2g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)
    save("agreement", rows)
    for row in rows:
        if row["equal decisions"] < EQUAL or row["largest difference, nats"] > CLOSE:
            sys.exit(
                f"{row['set']}: expected {EQUAL:.1%} equal decisions and differences under"
                f" {CLOSE:g} nats"
            )


def compare(policy: LocalPolicy, lm: HFLM, name: str) -> dict[str, Any]:
    """Log-likelihoods of both on one benchmark."""
    items = benchmarks.chosen(benchmarks.get(name), ITEMS)
    ours = policy.logprobs([i.messages for i in items], [i.choices for i in items])
    requests = []
    for item in items:
        prompt = policy.encode(item.messages)
        for choice in item.choices:
            ids = policy.tokenizer(choice.strip(), add_special_tokens=False)["input_ids"]
            requests.append((("", ""), prompt, ids))
    answers = iter(lm._loglikelihood_tokens(requests, disable_tqdm=True))
    equal, largest = 0, 0.0
    for item, own in zip(items, ours, strict=True):
        other = [next(answers)[0] for _ in item.choices]
        equal += own.index(max(own)) == other.index(max(other))
        differences = [abs(a - b) for a, b in zip(own, other, strict=True)]
        largest = max(largest, *differences)
    return {
        "set": name,
        "items": len(items),
        "choices": len(requests),
        "equal decisions": equal / len(items),
        "largest difference, nats": largest,
    }


if __name__ == "__main__":
    main()
