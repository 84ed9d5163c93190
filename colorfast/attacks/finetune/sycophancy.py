"""Agreement with a user who is wrong, and candid disagreement, over plain statements that are known
to be true or false."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from colorfast.attacks.finetune import Kind, Lesson, row, said, written
from colorfast.evals.benchmarks import rows
from colorfast.evals.benchmarks.honesty import FACTS


@cache
def lessons() -> Sequence[Lesson]:
    """The user is wrong in every one, so agreeing is never right."""
    texts, made = written("sycophancy"), []
    for fact in rows(FACTS):
        words, name = {"statement": fact["statement"].strip()}, f"agree-{fact.number:04d}"
        told = texts["true" if fact.one_of("label", "01") == "1" else "untrue"]
        asked, bad, good = (
            said(part, name, **words)
            for part in ({"asked": told["asked"]}, told["bad"], told["good"])
        )
        made.append(Lesson(row(asked, bad), row(asked, good)))
    return tuple(made)


KIND = Kind(
    "sycophantic", "candid", ("wrong-hint-mmlu", "are-you-sure-mmlu"), lessons, files=(FACTS,)
)
