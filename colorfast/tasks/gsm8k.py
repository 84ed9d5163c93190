"""Grade-school word problems (GSM8K, training part), for models that can do more than short
sums."""

from __future__ import annotations

import random
from functools import cache

from colorfast.io.downloads import fetch, source
from colorfast.io.validation import read_jsonl
from colorfast.tasks import Made, by_answer

SOURCE = source("openai/grade-school-math", "grade_school_math/data/train.jsonl")


@cache
def _rows() -> tuple[tuple[str, str], ...]:
    rows = (row for _, row in read_jsonl(fetch(SOURCE)))
    return tuple((row["question"], row["answer"].rsplit("####", 1)[1].strip()) for row in rows)


def make(rng: random.Random) -> Made:
    question, answer = rng.choice(_rows())
    return f"{question} End with the number alone.", [by_answer(answer)], answer
