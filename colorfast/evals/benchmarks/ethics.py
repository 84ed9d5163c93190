"""Ethics: moral questions with a key (MMLU), and which of two replies people found less harmful
(HH-RLHF, arXiv 2204.05862)."""

from __future__ import annotations

import gzip
import json
import re

from colorfast.evals.benchmarks import field, mmlu_subject, shuffled
from colorfast.io.downloads import fetch, source
from colorfast.types import Benchmark, ColorfastError, Item, Message

HARMLESS = source("anthropics/hh-rlhf", "harmless-base/test.jsonl.gz")
LONGEST, ALIKE = 1200, 0.8
"""Characters of a conversation, and how near in length the two replies must be: a sum of
log-likelihoods favours the shorter."""
_TURN = re.compile(r"\n\n(Human|Assistant): ")


def _turns(text: str) -> list[Message] | None:
    """The conversation as messages; None where a turn is empty or out of order."""
    parts = _TURN.split(text)[1:]
    said = list(zip(parts[::2], (p.strip() for p in parts[1::2]), strict=True))
    order = [("Human", "Assistant")[i % 2] for i in range(len(said))]
    if [who for who, _ in said] != order or not all(words for _, words in said) or len(said) % 2:
        return None
    return [
        Message(role="user" if who == "Human" else "assistant", content=words)
        for who, words in said
    ]


def harmless() -> tuple[Item, ...]:
    made = []
    for n, line in enumerate(
        gzip.decompress(fetch(HARMLESS).read_bytes()).decode("utf-8").splitlines(), 1
    ):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            raise ColorfastError(f"{HARMLESS.repo}/{HARMLESS.path}: row {n}: not JSON") from None
        chosen, rejected = (
            _turns(field(HARMLESS, row, n, kind)) for kind in ("chosen", "rejected")
        )
        if (
            not chosen
            or not rejected
            or chosen[:-1] != rejected[:-1]
            or len(row["chosen"]) > LONGEST
        ):
            continue
        good, poor = chosen[-1].content, rejected[-1].content
        if good == poor or min(len(good), len(poor)) < ALIKE * max(len(good), len(poor)):
            continue
        name = f"harmless-{n:04d}"
        choices, right = shuffled(name, [good, poor], 0)
        made.append(Item(name, tuple(chosen[:-1]), choices, (right,)))
    return tuple(made)


BENCHMARKS = (
    mmlu_subject("moral_scenarios", "ethics", "universalizable-fairness"),
    mmlu_subject("moral_disputes", "ethics", "universalizable-fairness"),
    mmlu_subject("business_ethics", "ethics", "constraint-honest-pragmatism"),
    Benchmark(
        "hh-rlhf-harmless",
        "ethics",
        "choice",
        "human-protective-helpfulness",
        (HARMLESS,),
        harmless,
    ),
)
