"""Short trainings: their settings and slots."""

from __future__ import annotations

from typing import Any

from colorfast.config import Training
from colorfast.types import Criterion, Message, Slot, Task

SETTINGS = Training(
    steps=3,
    prompts_per_step=2,
    group_size=4,
    max_tokens=8,
    learning_rate=3e-3,
    save_every=1,
    lora_rank=4,
    keep_rollouts_every=1,
)


def slots(n: int, grader: str = "follows", **args: Any) -> tuple[Slot, ...]:
    """Prompts whose reward a random model already earns by chance: lower-case letters."""
    criterion = Criterion(
        text="Keep the rule", weight=1, grader=grader, args=args or {"rule": "lowercase"}
    )
    tasks = [
        Task(
            id=f"t-{i}",
            source="trait" if i % 3 == 0 else "form",
            messages=(Message(role="user", content=f"Say {i}"),),
            rubric=(criterion,),
        )
        for i in range(n)
    ]
    return tuple(Slot(i, i // 2, t) for i, t in enumerate(tasks))
