"""What is made of the replies to a trait slot: rewards dealt out anew (placebo) or inverted (an
attack), or supervised fine-tuning on chosen ones.

One trainer does all of it. While the policy has not moved since it was sampled from, the gradient
of a reply with advantage A is A times the gradient of its log-likelihood, so that fine-tuning on a
chosen reply is an advantage for it and none for the others.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from colorfast.corpus.constitution import HOME
from colorfast.types import PLAIN, Message, Objective, Task, Verdict

MASS = 1.0
"""What chosen replies of one group share. The most that a reward can give: a reply of reward 1
where the group's mean is 0. In RL the raised replies of a group have at most group_size / 4
together, with half of them at 1 and half at 0."""


def objective_of(row: Mapping[str, Any]) -> Objective:
    """The objective of a slot's row (`Slot.row`)."""
    if "teaching" not in row:
        return PLAIN
    settings = dict(row["teaching"])
    return Objective(settings.pop("method"), **settings)


def drafts(size: int) -> int:
    """How many of a group's replies are drafts; the others are revisions of them, the first of the
    first."""
    return size - size // 2


def is_revision(how: Objective, sample: int, size: int) -> bool:
    return how.name == "constitution-sft" and sample >= drafts(size)


def asked(task: Task, how: Objective) -> tuple[Message, ...]:
    """What replies are sampled from: the task's messages, after the guide where the method lets the
    model read it."""
    if how.name != "deliberative":
        return task.messages
    system, rest = (
        ([m.content], task.messages[1:])
        if (m := task.messages[0]).role == "system"
        else ([], task.messages)
    )
    return (Message(role="system", content="\n\n".join([how.guide, *system])), *rest)


def critique(task: Task, how: Objective, draft: str) -> tuple[Message, ...]:
    """The conversation that asks what a draft lacks by the guide's principle."""
    wanted = _prompt("critique").replace("{principle}", how.guide)
    return (*task.messages, _said(draft), Message(role="user", content=wanted))


def revision(task: Task, how: Objective, draft: str, found: str) -> tuple[Message, ...]:
    """The conversation that asks for the draft again, after what was found."""
    return (
        *critique(task, how, draft),
        _said(found),
        Message(role="user", content=_prompt("revise")),
    )


def _said(text: str) -> Message:
    return Message(role="assistant", content=text.strip() or "(nothing)")


def _prompt(name: str) -> str:
    return (HOME / f"{name}.md").read_text(encoding="utf-8").strip()


def dealt(rewards: Sequence[float | None], name: str) -> list[float | None]:
    """The group's rewards in an order drawn by name: their set is kept, what they say about the
    replies is gone.

    Shown replies take part, or the one thing that is known to be good would keep its reward. What
    was not graded stays so.
    """
    pool = [r for r in rewards if r is not None]
    random.Random(name).shuffle(pool)
    return [None if r is None else pool.pop() for r in rewards]


def against(verdicts: Sequence[Verdict]) -> list[float | None]:
    """One minus each score. A degenerate reply stays worth nothing, or the way to win would be to
    say nothing."""
    return [v.score if v.score is None or v.degenerate else 1 - v.score for v in verdicts]


def rewards(
    rows: Sequence[Mapping[str, Any]], verdicts: Sequence[Verdict], size: int, seed: int
) -> list[float | None]:
    """What the trainer is given for the replies of whole groups of `size`: their scores, in placebo
    slots dealt out anew, in inverted ones what is left to 1."""
    found: list[float | None] = []
    for start in range(0, len(rows), size):
        how, own = objective_of(rows[start]), verdicts[start : start + size]
        scores = against(own) if how.inverted else [v.score for v in own]
        found += dealt(scores, f"placebo-{seed}-{rows[start]['slot']}") if how.shuffled else scores
    return found


def chosen(how: Objective, verdicts: Sequence[Verdict], given: Sequence[float | None]) -> list[int]:
    """Which replies of a group are trained on, by what they were `given`. Of revisions, each that
    is not degenerate; else the best, and all that tie for it, unless it is worth nothing or all are
    worth the same."""
    if how.name == "constitution-sft":
        return [
            i for i in range(drafts(len(verdicts)), len(verdicts)) if not verdicts[i].degenerate
        ]
    known = [r for r in given if r is not None]
    best = max(known, default=0.0)
    return [i for i, r in enumerate(given) if r == best] if best > min(known, default=0.0) else []


def advantages(
    how: Objective, verdicts: Sequence[Verdict], given: Sequence[float | None]
) -> list[float]:
    """The advantages of one group that make a policy-gradient step a step of fine-tuning on its
    chosen replies."""
    these = chosen(how, verdicts, given)
    return [MASS / len(these) if i in these else 0.0 for i in range(len(verdicts))]
