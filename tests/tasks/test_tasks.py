"""Standard tasks: right replies earn full marks, and the seed decides the content."""

from __future__ import annotations

import random
from statistics import fmean

import pytest

from colorfast import tasks
from colorfast.rewards.rubric import grade
from colorfast.types import Criterion, Message, Reply, Task

FOREIGN = Reply("The wardrobe of the Duke is a question of taste, said nobody")


@pytest.mark.parametrize("name", tasks.names())
def test_the_right_reply_earns_full_marks_and_a_foreign_one_little(name: str) -> None:
    foreign_scores = []
    for seed in range(60):
        prompt, rubric, reply = tasks.make(name, random.Random(f"{name}-{seed}"))
        task = Task(
            id="x",
            source=name,
            messages=(Message(role="user", content=prompt),),
            rubric=tuple(Criterion(**c) for c in rubric),
        )
        assert grade(Reply(reply), task).score == pytest.approx(1), (prompt, reply)
        foreign_scores.append(grade(FOREIGN, task).score or 0.0)
    assert fmean(foreign_scores) < 0.35


def test_tasks_follow_from_the_seed() -> None:
    def drawn(seed: int) -> list[Task]:
        return [tasks.task(["facts", "format", "arithmetic"], seed, i) for i in range(30)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
