"""Do we score choices as lm-evaluation-harness does? The same tokens through both: log-likelihood
of every choice, and decisions.

Tokens and not texts, since from a text that ends in white space, as a chat prompt does, the harness
moves that white space into every choice and counts its likelihood too: the same constant for all
choices of an item (0.016 nats at most on MMLU's clinical knowledge).
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from lm_eval.models.huggingface import HFLM
from rich.console import Console
from rich.table import Table

from colorfast.evals import benchmarks
from colorfast.models.local import load_policy

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
    rows = []
    for name in SETS:
        items = benchmarks.chosen(benchmarks.get(name), ITEMS)
        ours = policy.logprobs([i.messages for i in items], [i.choices for i in items])
        encode = policy.tokenizer
        asked = [
            (
                ("", ""),
                policy.encode(item.messages),
                encode(choice.strip(), add_special_tokens=False)["input_ids"],
            )
            for item in items
            for choice in item.choices
        ]
        told = iter(lm._loglikelihood_tokens(asked, disable_tqdm=True))
        theirs = [[next(told)[0] for _ in i.choices] for i in items]
        apart = max(
            abs(a - b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True)
        )
        equal = sum(
            x.index(max(x)) == y.index(max(y)) for x, y in zip(ours, theirs, strict=True)
        ) / len(items)
        rows.append(
            {
                "set": name,
                "items": len(items),
                "choices": len(asked),
                "equal decisions": equal,
                "largest difference, nats": apart,
            }
        )
    table = Table(*rows[0], title="colorfast against lm-evaluation-harness, the same prompts, fp32")
    for row in rows:
        table.add_row(*(f"{v:.2g}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    (out / "agreement.json").write_text(json.dumps(rows, indent=1) + "\n")
    if any(r["equal decisions"] < EQUAL or r["largest difference, nats"] > CLOSE for r in rows):
        sys.exit(
            f"they part: wants {EQUAL:.1%} equal decisions and differences under {CLOSE:g} nats"
        )


if __name__ == "__main__":
    main()
