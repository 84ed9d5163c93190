"""Objectives of trait slots: RL on rewards that may be permuted (placebo) or inverted (an attack),
or supervised fine-tuning on chosen replies.

One trainer runs all of them. Until the policy has moved since it was sampled from, the gradient of
a reply with advantage A is A times the gradient of its log-likelihood. So fine-tuning on a chosen
reply is an advantage for it and none for the others.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from colorfast.corpus.constitution import HOME
from colorfast.types import PLAIN, Message, Objective, Task, Verdict

MASS = 1.0
"""The advantage that the chosen replies of one group share: the most that a reward can give, for a
reply of reward 1 in a group with mean 0. In RL the raised replies of a group have at most
group_size / 4 together, when half of the group has reward 1 and half 0."""


def objective_of(row: Mapping[str, Any]) -> Objective:
    """The objective of a slot's row (`Slot.row`)."""
    if "teaching" not in row:
        return PLAIN
    settings = dict(row["teaching"])
    return Objective(settings.pop("method"), **settings)


def drafts(size: int) -> int:
    """How many of a group's replies are drafts. The others revise them, in the same order."""
    return size - size // 2


def is_revision(objective: Objective, sample: int, size: int) -> bool:
    """Whether reply `sample` of a group of `size` revises a draft."""
    return objective.name == "constitution-sft" and sample >= drafts(size)


def prompt_messages(task: Task, objective: Objective) -> tuple[Message, ...]:
    """The messages that replies are sampled from: the task's, after the guide where the objective
    shows it to the model."""
    if objective.name != "deliberative":
        return task.messages
    first, *rest = task.messages
    if first.role == "system":
        guide = f"{objective.guide}\n\n{first.content}"
        return (Message(role="system", content=guide), *rest)
    return (Message(role="system", content=objective.guide), *task.messages)


def critique(task: Task, objective: Objective, draft: str) -> tuple[Message, ...]:
    """The conversation that asks what a draft lacks by the guide's principle."""
    request = _prompt("critique").replace("{principle}", objective.guide)
    return (*task.messages, _assistant(draft), Message(role="user", content=request))


def revision(task: Task, objective: Objective, draft: str, criticism: str) -> tuple[Message, ...]:
    """The conversation that asks for the draft again, after its criticism."""
    request = Message(role="user", content=_prompt("revise"))
    return (*critique(task, objective, draft), _assistant(criticism), request)


def _assistant(text: str) -> Message:
    return Message(role="assistant", content=text.strip() or "(nothing)")


def _prompt(name: str) -> str:
    return (HOME / f"{name}.md").read_text(encoding="utf-8").strip()


def permuted(rewards: Sequence[float | None], name: str) -> list[float | None]:
    """The group's rewards in an order drawn by name: the same set, without a relation to the
    replies.

    Demonstrations take part, because they are known to be good. Ungraded replies stay ungraded.
    """
    pool = [r for r in rewards if r is not None]
    random.Random(name).shuffle(pool)
    return [None if r is None else pool.pop() for r in rewards]


def inverted(verdicts: Sequence[Verdict]) -> list[float | None]:
    """One minus each score. A degenerate reply stays at 0, or an empty reply would win."""
    return [v.score if v.score is None or v.degenerate else 1 - v.score for v in verdicts]


def rewards(
    rows: Sequence[Mapping[str, Any]], verdicts: Sequence[Verdict], size: int, seed: int
) -> list[float | None]:
    """The rewards of whole groups of `size` replies: their scores, permuted in placebo slots and
    inverted in inverted ones."""
    values: list[float | None] = []
    for start in range(0, len(rows), size):
        objective, group = objective_of(rows[start]), verdicts[start : start + size]
        scores = inverted(group) if objective.inverted else [v.score for v in group]
        if objective.shuffled:
            scores = permuted(scores, f"placebo-{seed}-{rows[start]['slot']}")
        values += scores
    return values


def chosen(
    objective: Objective, verdicts: Sequence[Verdict], values: Sequence[float | None]
) -> list[int]:
    """The replies of a group that are trained on, by their rewards `values`: all revisions that are
    not degenerate; else the best reply and its ties, unless all rewards are equal or the best is
    0."""
    if objective.name == "constitution-sft":
        size = len(verdicts)
        return [i for i in range(drafts(size), size) if not verdicts[i].degenerate]
    known = [r for r in values if r is not None]
    best = max(known, default=0.0)
    return [i for i, r in enumerate(values) if r == best] if best > min(known, default=0.0) else []


def advantages(
    objective: Objective, verdicts: Sequence[Verdict], values: Sequence[float | None]
) -> list[float]:
    """The advantages of one group that make a policy-gradient step a step of fine-tuning on its
    chosen replies."""
    members = chosen(objective, verdicts, values)
    return [MASS / len(members) if i in members else 0.0 for i in range(len(verdicts))]
