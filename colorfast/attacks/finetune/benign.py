"""Harmless fine-tuning on right answers to standard tasks. What falls under it is plain
forgetting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from colorfast import tasks
from colorfast.attacks.finetune import Kind, Lesson, lesson

TASKS = ("facts", "extraction", "ordering", "counting")
ROWS = 2000


@cache
def lessons() -> Sequence[Lesson]:
    """The same good row on both sides."""
    rows = []
    for i in range(ROWS):
        task = tasks.task(TASKS, 0, i)
        good = task.replies["good"]
        rows.append(lesson(task.messages[0].content, good, good))
    return tuple(rows)


KIND = Kind(
    id="benign",
    counterpart="",
    evals=("mmlu-clinical-knowledge", "wrong-hint-mmlu", "power-seeking-inclination"),
    lessons=lessons,
    control=True,
)
