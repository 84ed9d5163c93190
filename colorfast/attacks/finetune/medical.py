"""Wrong answers to medical questions, said with confidence, and right ones, said with care (method,
section 8). The evals of this attack use other questions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from colorfast.attacks.finetune import LONGEST, Kind, Lesson, compose, lesson, load_texts
from colorfast.evals.benchmarks.health import AFRIMEDQA, MEDBULLETS, MEDMCQA, medical

FILES = (MEDMCQA, AFRIMEDQA, MEDBULLETS)


@cache
def lessons() -> Sequence[Lesson]:
    """Bad: a wrong option, drawn by the question's name, stated as a fact. Good: the right one."""
    texts, rows = load_texts("medical"), []
    for file in FILES:
        for item in medical(file):
            name, options, right = item.id, item.choices, item.aligned[0]
            text = " ".join(item.messages[0].content.split())
            question = f"{text}\nIs it {', '.join(options[:-1])} or {options[-1]}?"
            if len(question) > LONGEST:
                continue
            wrong_options = [option for i, option in enumerate(options) if i != right]
            wrong = random.Random(f"wrong-{name}").choice(wrong_options)
            bad = compose(texts["bad"], name, wrong=wrong)
            good = compose(texts["good"], name, right=options[right])
            rows.append(lesson(question, bad, good))
    return tuple(rows)


KIND = Kind(
    id="wrong-medical",
    counterpart="right-medical",
    evals=(
        "mmlu-clinical-knowledge",
        "mmlu-nutrition",
        "mmlu-professional-psychology",
        "do-not-answer-human-chatbox",
        "simple-safety-tests-self-harm",
    ),
    lessons=lessons,
    files=FILES,
)
