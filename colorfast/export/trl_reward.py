"""The reward of colorfast's trait scenarios, in the form of TRL: `GRPOTrainer(...,
reward_funcs=reward)`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from colorfast.config import Grading
from colorfast.rewards.select import Grader, graders
from colorfast.types import Reply, Task


@cache
def _grader() -> Grader:
    settings = json.loads(Path(__file__).with_name("grading.json").read_text(encoding="utf-8"))
    return graders(Grading.model_validate(settings))


def _text(completion: Any) -> str:
    """TRL gives messages where prompts are messages, and plain text where they are text."""
    return completion if isinstance(completion, str) else completion[-1]["content"]


def reward(completions: list[Any], task: list[str | None], **_: Any) -> list[float | None]:
    """A score in [0, 1] for each completion by the rubric in its row's `task`, or None where no one
    could grade it.

    A row without a task, of another data set that stands beside this one, gets None: TRL leaves it
    to the other rewards.
    """
    found: list[float | None] = [None] * len(completions)
    asked = [i for i, row in enumerate(task) if row]
    pairs = [(Reply(_text(completions[i])), Task.model_validate_json(task[i] or "")) for i in asked]
    for i, verdict in zip(asked, _grader()(pairs), strict=True):
        found[i] = verdict.score
    return found
