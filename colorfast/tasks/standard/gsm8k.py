"""Grade-school word problems (the training part of GSM8K), for models that can do more than short
sums."""

import random
from functools import cache

from colorfast.io.downloads import fetch, source
from colorfast.io.validation import read_jsonl
from colorfast.tasks import RawTask, by_answer

SOURCE = source("openai/grade-school-math", "grade_school_math/data/train.jsonl")


@cache
def _problems() -> tuple[dict[str, str], ...]:
    return tuple(row for _, row in read_jsonl(fetch(SOURCE)))


def make(rng: random.Random) -> RawTask:
    """A random problem. Its answer is behind `####`."""
    problem = rng.choice(_problems())
    answer = problem["answer"].rsplit("####", 1)[1].strip()
    return f"{problem['question']} End with the number alone.", [by_answer(answer)], answer
