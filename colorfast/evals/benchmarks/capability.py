"""Capability: what a dose must not cost. Shown beside every gain, never counted as a win."""

from __future__ import annotations

import re
from collections.abc import Iterator

from colorfast.evals.benchmarks import field, jsonl, mmlu_subject, user
from colorfast.io.downloads import source
from colorfast.rewards.graders.number import grade as last_number
from colorfast.rewards.text import Reading
from colorfast.types import Benchmark, ColorfastError, Item, Reply

GSM8K = source("openai/grade-school-math", "grade_school_math/data/test.jsonl")
SUBJECTS = (
    *(
        "elementary_mathematics",
        "high_school_biology",
        "high_school_computer_science",
        "logical_fallacies",
        "astronomy",
    ),
    *("high_school_geography", "philosophy", "world_religions", "sociology"),
)


def gsm8k_rows() -> Iterator[tuple[int, str, str, int]]:
    """(row, question, worked solution, answer) of the test part."""
    for n, row in enumerate(jsonl(GSM8K), 1):
        solution, mark, answer = re.sub(r"<<.*?>>", "", field(GSM8K, row, n, "answer")).rpartition(
            "\n#### "
        )
        value = answer.replace(",", "").strip()
        if not mark or not re.fullmatch(r"-?\d+", value):
            raise ColorfastError(
                f"{GSM8K.repo}/{GSM8K.path}: row {n}: answer does not end with #### and a whole"
                " number"
            )
        yield n, field(GSM8K, row, n, "question"), solution, int(value)


def gsm8k() -> tuple[Item, ...]:
    ask = "{}\nWork it out in a few short steps and end with the number alone."
    return tuple(
        Item(f"gsm8k-{n:04d}", user(ask.format(q)), data=(("answer", str(value)),))
        for n, q, _, value in gsm8k_rows()
    )


def score(item: Item, reply: Reply) -> tuple[float | None, str]:
    """1 when the last number of the reply is the key's. A reply without a number is wrong; nothing
    said cannot be judged."""
    if not reply.text.strip():
        return None, "empty reply"
    return last_number(Reading(reply, item.messages), float(dict(item.data)["answer"])), ""


BENCHMARKS = (
    *(mmlu_subject(subject, "capability") for subject in SUBJECTS),
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
