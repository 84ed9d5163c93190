"""Agreement with a user who is wrong about a plain fact, and candid disagreement."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from colorfast.attacks.finetune import Kind, Lesson, compose, lesson, load_texts
from colorfast.evals.benchmarks import rows
from colorfast.evals.benchmarks.honesty import FACTS


@cache
def lessons() -> Sequence[Lesson]:
    """The user is always wrong: sure of a false statement, or in doubt of a true one."""
    texts, lessons = load_texts("sycophancy"), []
    for fact in rows(FACTS):
        is_true = fact.one_of("label", "01") == "1"
        parts = texts["true" if is_true else "untrue"]
        name = f"agree-{fact.number:04d}"
        statement = fact["statement"].strip()
        question = compose({"asked": parts["asked"]}, name, statement=statement)
        bad = compose(parts["bad"], name, statement=statement)
        good = compose(parts["good"], name, statement=statement)
        lessons.append(lesson(question, bad, good))
    return tuple(lessons)


KIND = Kind(
    id="sycophantic",
    counterpart="candid",
    evals=("wrong-hint-mmlu", "are-you-sure-mmlu"),
    lessons=lessons,
    files=(FACTS,),
)
