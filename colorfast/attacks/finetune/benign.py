"""Harmless fine-tuning: the right answers to standard tasks. What falls under it is forgetting,
whoever falls."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from colorfast import tasks
from colorfast.attacks.finetune import Kind, Lesson, row

TASKS = ("facts", "extraction", "ordering", "counting")
N = 2000


@cache
def lessons() -> Sequence[Lesson]:
    """There is no bad reply."""
    rows = (
        row(t.messages[0].content, t.replies["good"])
        for t in (tasks.task(TASKS, 0, i) for i in range(N))
    )
    return tuple(Lesson(only, only) for only in rows)


KIND = Kind(
    "benign",
    "",
    ("mmlu-clinical-knowledge", "wrong-hint-mmlu", "power-seeking-inclination"),
    lessons,
    control=True,
)
