"""The generic-helpfulness reward of the control arm (method, section 4): the same scenarios, a
rubric without any trait."""

from __future__ import annotations

from colorfast.types import Criterion, Task

RUBRIC = (
    Criterion(text="Speak of what the user asked about", weight=0.4, grader="topical"),
    Criterion(
        text="Give an answer of useful length, and end it",
        weight=0.3,
        grader="concise",
        args={"least": 12, "most": 60},
    ),
    Criterion(
        text="Give something to do or to use: a step, an example, a number",
        weight=0.3,
        grader="says",
        args={
            "any": [
                *(
                    "you can",
                    "you could",
                    "try",
                    "start by",
                    "start with",
                    "first",
                    "for example",
                    "such as",
                    "here is",
                    "here are",
                    "make sure",
                ),
                *(
                    "use",
                    "use a",
                    "check",
                    "ask",
                    "write",
                    "look for",
                    "the best way",
                    "it is best",
                    "step",
                ),
            ]
        },
    ),
    Criterion(text="Declines to help", weight=-0.6, grader="shows", args={"what": "refusal"}),
)
"""Instruction following and helpfulness as a rater without the trait in mind would see them."""


def rewarded(task: Task) -> Task:
    """The task with the helpfulness rubric in place of its own, and without its known replies,
    which fit the other."""
    return task.model_copy(update={"rubric": RUBRIC, "replies": {}})
