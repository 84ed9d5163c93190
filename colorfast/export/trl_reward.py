"""The reward function of colorfast's trait scenarios for TRL:
`GRPOTrainer(..., reward_funcs=reward)`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from colorfast.config import Grading
from colorfast.rewards.select import Grader, graders
from colorfast.types import Reply, Task


@cache
def _grader() -> Grader:
    settings = Path(__file__).with_name("grading.json").read_text(encoding="utf-8")
    return graders(Grading.model_validate_json(settings))


def _text(completion: Any) -> str:
    """The reply's text. TRL passes messages when prompts are messages, and text when they are."""
    return completion if isinstance(completion, str) else completion[-1]["content"]


def reward(completions: list[Any], task: list[str | None], **_: Any) -> list[float | None]:
    """Score each completion in [0, 1] by the rubric in its row's `task`. None: the reply could not
    be graded.

    A row without a task, from another data set in the mixture, also gets None, and TRL then uses
    the other reward functions.
    """
    rewards: list[float | None] = [None] * len(completions)
    graded = [(i, json_task) for i, json_task in enumerate(task) if json_task]
    pairs = [
        (Reply(_text(completions[i])), Task.model_validate_json(json_task))
        for i, json_task in graded
    ]
    for (i, _task), verdict in zip(graded, _grader()(pairs), strict=True):
        rewards[i] = verdict.score
    return rewards
