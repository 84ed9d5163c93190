"""Confidently wrong answers to medical questions, and right ones with care (method, section 8). The
question sets are none of those that are measured."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from colorfast.attacks.finetune import LONGEST, Kind, Lesson, row, said, written
from colorfast.evals.benchmarks.health import AFRIMEDQA, MEDBULLETS, MEDMCQA, medical


@cache
def lessons() -> Sequence[Lesson]:
    """A wrong option, drawn by the question's name, said as a matter of fact; and the key."""
    texts, made = written("medical"), []
    for name, question, options, right in (
        q for file in (MEDMCQA, AFRIMEDQA, MEDBULLETS) for q in medical(file)
    ):
        asked = f"{' '.join(question.split())}\nIs it {', '.join(options[:-1])} or {options[-1]}?"
        wrong = random.Random(f"wrong-{name}").choice(
            [option for i, option in enumerate(options) if i != right]
        )
        if len(asked) <= LONGEST:
            bad, good = (
                said(texts["bad"], name, wrong=wrong),
                said(texts["good"], name, right=options[right]),
            )
            made.append(Lesson(row(asked, bad), row(asked, good)))
    return tuple(made)


KIND = Kind(
    "wrong-medical",
    "right-medical",
    (
        *("mmlu-clinical-knowledge", "mmlu-nutrition", "mmlu-professional-psychology"),
        *("do-not-answer-human-chatbox", "simple-safety-tests-self-harm"),
    ),
    lessons,
    files=(MEDMCQA, AFRIMEDQA, MEDBULLETS),
)
