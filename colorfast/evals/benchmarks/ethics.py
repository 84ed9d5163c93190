"""Ethics: moral questions with a key (MMLU), and the reply of two that people found less harmful
(HH-RLHF, arXiv 2204.05862)."""

from __future__ import annotations

import re
from dataclasses import replace

from colorfast.evals.items import Items, alike, choice, question
from colorfast.evals.mmlu import mmlu_subject
from colorfast.evals.rows import rows
from colorfast.io.downloads import source
from colorfast.types import Message, Source

FAIR = "universalizable-fairness"
HARMLESS = source("anthropics/hh-rlhf", "harmless-base/test.jsonl.gz")
LONGEST = 1200
"""Characters of a conversation."""
ALIKE = 0.8
"""How near in length two replies must be: a sum of log-likelihoods favors the shorter."""
ROLES = {"Human": "user", "Assistant": "assistant"}


def _conversation(text: str) -> list[Message] | None:
    """The turns as messages; None where a turn is empty or out of order."""
    parts = re.split(r"\n\n(Human|Assistant): ", text)[1:]
    speakers, turns = parts[::2], [turn.strip() for turn in parts[1::2]]
    in_order = speakers == list(ROLES) * (len(speakers) // 2)
    if not in_order or not all(turns):
        return None
    return [
        Message.model_validate({"role": ROLES[speaker], "content": turn})
        for speaker, turn in zip(speakers, turns, strict=True)
    ]


def harmless(file: Source) -> Items:
    """The same conversation with two last replies, of which people preferred one."""
    for row in rows(file):
        chosen, rejected = _conversation(row["chosen"]), _conversation(row["rejected"])
        too_long = len(row["chosen"]) > LONGEST
        if not chosen or not rejected or too_long or chosen[:-1] != rejected[:-1]:
            continue
        replies = chosen[-1].content, rejected[-1].content
        if replies[0] != replies[1] and alike(*replies, ALIKE):
            name = f"harmless-{row.number:04d}"
            item = question(name, chosen[-2].content, replies)
            yield replace(item, messages=tuple(chosen[:-1]))


BENCHMARKS = (
    mmlu_subject("moral_scenarios", "ethics", FAIR),
    mmlu_subject("moral_disputes", "ethics", FAIR),
    mmlu_subject("business_ethics", "ethics", "constraint-honest-pragmatism"),
    choice("hh-rlhf-harmless", "ethics", "human-protective-helpfulness", harmless, HARMLESS),
)
