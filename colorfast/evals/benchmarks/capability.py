"""Capability: what a dose must not cost. Shown beside every gain, never counted as a win."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from colorfast.evals.items import Items, made_by, scored_by, user
from colorfast.evals.mmlu import mmlu_subject
from colorfast.evals.rows import rows
from colorfast.io.downloads import source
from colorfast.rewards.graders.number import grade as last_number
from colorfast.rewards.text import ParsedReply
from colorfast.types import Benchmark, Item, Reply, Source

GSM8K = source("openai/grade-school-math", "grade_school_math/data/test.jsonl")
SUBJECTS = (
    "elementary_mathematics",
    "high_school_biology",
    "high_school_computer_science",
    "logical_fallacies",
    "astronomy",
    "high_school_geography",
    "philosophy",
    "world_religions",
    "sociology",
)


class Problem(NamedTuple):
    """A word problem of GSM8K with its worked solution."""

    number: int
    question: str
    solution: str
    answer: int


def problems(file: Source) -> Iterator[Problem]:
    """The problems of the test part."""
    for row in rows(file):
        worked = re.sub(r"<<.*?>>", "", row["answer"])  # the marks of a calculator
        solution, answer = worked.rsplit("\n#### ", 1)
        yield Problem(row.number, row["question"], solution, int(answer.replace(",", "")))


def gsm8k(file: Source) -> Items:
    """Word problems, to be answered with a number at the end."""
    ask = "Work it out in a few short steps and end with the number alone."
    for problem in problems(file):
        data = (("answer", str(problem.answer)),)
        yield Item(f"gsm8k-{problem.number:04d}", user(f"{problem.question}\n{ask}"), data=data)


def right_number(item: Item, reply: Reply) -> float:
    """1 when the last number of the reply is the right one. A reply without a number is wrong."""
    return last_number(ParsedReply(reply, item.messages), float(dict(item.data)["answer"]))


BENCHMARKS = (
    *(mmlu_subject(subject, "capability") for subject in SUBJECTS),
    Benchmark(
        "gsm8k",
        "capability",
        "generated",
        "",
        (GSM8K,),
        made_by(gsm8k, GSM8K),
        scored_by(right_number),
        best=lambda item: f"The answer is {dict(item.data)['answer']}",
        worst=lambda item: "There is no telling.",
        tokens=128,
        control=True,
    ),
)
