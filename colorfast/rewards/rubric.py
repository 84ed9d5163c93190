"""Grade a reply against its task's own rubric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from colorfast.io.folders import Folder
from colorfast.rewards.text import Reading, is_repetitive, words
from colorfast.types import ColorfastError, Criterion, Message, Reply, Task, Verdict

Grader = Callable[..., "float | None"]
GRADERS = Folder("grader", "rewards/graders")
_PLAIN = "This sentence is as plain as any, and 7 is a number."


def grader_names() -> list[str]:
    """The graders shipped: one file each."""
    return GRADERS.names()


@cache
def grader(name: str) -> Grader:
    """The `grade` function of `graders/NAME.py`, or of the Python file at the path `name`.

    Raises ColorfastError when there is none.
    """
    function = GRADERS.load(name, "grade")
    if not callable(function):
        raise ColorfastError(f"{name}: no function `grade` in this file")
    return function


def check(criteria: Sequence[Criterion], messages: tuple[Message, ...], said: str = "") -> None:
    """Raises ColorfastError for a criterion whose grader is unknown or cannot be asked as the
    criterion says."""
    reading = Reading(Reply(f"{said}\n{_PLAIN}"), messages)
    for c in criteria:
        ask = grader(c.grader)
        try:
            value = ask(reading, **c.args)
            fine = value is None or 0 <= value <= 1
        except Exception as error:  # the args are the user's, and so may the grader be
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
            raise ColorfastError(
                f"rubric: {c.text[:40]!r}: grader {c.grader!r} cannot be asked with these args"
                f" ({what})"
            ) from None
        if not fine:
            raise ColorfastError(
                f"rubric: {c.text[:40]!r}: grader {c.grader!r} gave {value!r:.40}; wants a number"
                " from 0 to 1, or None"
            )


def degenerate(reply: Reply, task: Task) -> str:
    """Why a reply scores 0 whatever its rubric ("empty", "copies the prompt", "repeats itself"); ""
    for one that must be read."""
    reading = Reading(reply, task.messages)
    if not reading.words:
        return "empty"
    if len(reading.words) > 2 and any(reading.words == words(m.content) for m in task.messages):
        return "copies the prompt"
    return "repeats itself" if is_repetitive(reading.words) else ""


def weigh(parts: Sequence[float | None], task: Task) -> Verdict:
    """Weighted sum of one value in [0, 1] per criterion, clipped to [0, 1].

    Where any is None the reply is ungraded (score None), because a partial sum would be a different
    scale.
    """
    ungraded = [c.text for c, part in zip(task.rubric, parts, strict=True) if part is None]
    if ungraded:
        return Verdict(None, f"could not grade: {ungraded[0]}", tuple(parts))
    total = sum(
        c.weight * part for c, part in zip(task.rubric, parts, strict=True) if part is not None
    )
    return Verdict(min(1.0, max(0.0, total)), "", tuple(parts))


def grade(reply: Reply, task: Task) -> Verdict:
    """A reply's verdict by the code graders of its rubric.

    A degenerate reply (nothing said, a loop) scores 0 whatever the criteria: that is a judgement,
    not a failure to judge.
    """
    nothing = degenerate(reply, task)
    if nothing:
        return Verdict(0.0, nothing, tuple(0.0 for _ in task.rubric))
    reading = Reading(reply, task.messages)
    return weigh([grader(c.grader)(reading, **c.args) for c in task.rubric], task)
