"""Grade a reply against the rubric of its task, by code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from colorfast.io.folders import Folder
from colorfast.rewards.text import ParsedReply, is_repetitive, words
from colorfast.types import ColorfastError, Criterion, Message, Reply, Task, Verdict

TaskReply = tuple[Reply, Task]
"""A reply and the task that it answers."""
GRADERS = Folder("grader", "rewards/graders")
_PLAIN_SENTENCE = "This sentence is as plain as any, and 7 is a number."


@cache
def grader(name: str) -> Callable[..., float | None]:
    """The function `grade` of `graders/NAME.py`, or of the user's Python file at the path `name`.

    Raises ColorfastError when there is none.
    """
    function = GRADERS.load(name, "grade")
    if not callable(function):
        raise ColorfastError(f"{name}: `grade` is not a function; define `grade(reply, **args)`")
    return function


def check(criteria: Sequence[Criterion], messages: tuple[Message, ...], text: str = "") -> None:
    """Grade a reply with this text by each criterion, to find mistakes in the criteria.

    Raises ColorfastError when a grader is unknown, rejects the criterion's args, or returns
    something else than None or a number from 0 to 1.
    """
    reply = ParsedReply(Reply(f"{text}\n{_PLAIN_SENTENCE}"), messages)
    for criterion in criteria:
        function = grader(criterion.grader)
        where = f"rubric: {criterion.text[:40]!r}: grader {criterion.grader!r}"
        try:
            value = function(reply, **criterion.args)
            is_valid = value is None or 0 <= value <= 1
        except Exception as error:  # args and grader may be the user's, and fail in any way
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
            raise ColorfastError(f"{where} fails with these args ({reason})") from None
        if not is_valid:
            raise ColorfastError(
                f"{where} returned {value!r:.40}; it must return a number from 0 to 1, or None"
            )


def degenerate(reply: Reply, task: Task) -> Verdict | None:
    """A score of 0 for a reply that is worth nothing whatever its rubric says: empty, a copy of the
    prompt, or a loop. None for any other reply."""
    parsed = ParsedReply(reply, task.messages)
    if not parsed.words:
        reason = "empty"
    elif len(parsed.words) > 2 and any(parsed.words == words(m.content) for m in task.messages):
        reason = "copies the prompt"
    elif is_repetitive(parsed.words):
        reason = "repeats itself"
    else:
        return None
    return Verdict(0.0, reason, (0.0,) * len(task.rubric))


def weigh(parts: Sequence[float | None], task: Task) -> Verdict:
    """The verdict from one value in [0, 1] for each criterion: their weighted sum, clipped to
    [0, 1].

    The score is None when any value is None, because a partial sum would be on another scale.
    """
    weighted: list[float] = []
    for criterion, part in zip(task.rubric, parts, strict=True):
        if part is None:
            return Verdict(None, f"could not grade: {criterion.text}", tuple(parts))
        weighted.append(criterion.weight * part)
    return Verdict(min(1.0, max(0.0, sum(weighted))), "", tuple(parts))


def grade(reply: Reply, task: Task) -> Verdict:
    """The verdict of the code graders that the task's rubric names."""
    verdict = degenerate(reply, task)
    if verdict:
        return verdict
    parsed = ParsedReply(reply, task.messages)
    return weigh([grader(c.grader)(parsed, **c.args) for c in task.rubric], task)
