"""Capability: what a dose must not cost. Shown beside every gain, never counted as a win."""

from __future__ import annotations

import re
from functools import partial

from colorfast.benchmarks import field, jsonl, lettered, mmlu, user
from colorfast.data import source
from colorfast.graders.number import grade as last_number
from colorfast.reading import Reading
from colorfast.types import Benchmark, ColorfastError, Item, Reply, Source

GSM8K = source("openai/grade-school-math", "grade_school_math/data/test.jsonl")
SUBJECTS = (
    *("elementary_mathematics", "high_school_biology", "high_school_computer_science", "logical_fallacies", "astronomy"),
    *("high_school_geography", "philosophy", "world_religions", "sociology"),
)


def gsm8k() -> tuple[Item, ...]:
    made = []
    for n, row in enumerate(jsonl(GSM8K), 1):
        _, mark, answer = field(GSM8K, row, n, "answer").rpartition("#### ")
        value = answer.replace(",", "").strip()
        if not mark or not re.fullmatch(r"-?\d+", value):
            raise ColorfastError(f"{GSM8K.repo}/{GSM8K.path}: row {n}: answer does not end with #### and a whole number")
        asked = f"{field(GSM8K, row, n, 'question')}\nWork it out in a few short steps and end with the number alone."
        made.append(Item(f"gsm8k-{n:04d}", user(asked), data=(("answer", value),)))
    return tuple(made)


def score(item: Item, reply: Reply) -> tuple[float | None, str]:
    """1 when the last number of the reply is the key's. A reply without a number is wrong; nothing said cannot be judged."""
    if not reply.text.strip():
        return None, "empty reply"
    return last_number(Reading(reply, item.messages), float(dict(item.data)["answer"])), ""


def _mmlu(subject: str) -> Benchmark:
    file = source("Matt-Harvill/assignment5-alignment", f"data/mmlu/test/{subject}_test.csv")
    return Benchmark(f"mmlu-{subject.replace('_', '-')}", "capability", "choice", "", (file,), partial(_keyed, file), control=True)


def _keyed(file: Source) -> tuple[Item, ...]:
    return tuple(map(lettered, mmlu(file)))


BENCHMARKS = (
    *map(_mmlu, SUBJECTS),
    Benchmark(
        "gsm8k",
        "capability",
        "generated",
        "",
        (GSM8K,),
        gsm8k,
        score,
        best=lambda item: f"The answer is {dict(item.data)['answer']}",
        worst=lambda item: "There is no telling.",
        tokens=128,
        control=True,
    ),
)
