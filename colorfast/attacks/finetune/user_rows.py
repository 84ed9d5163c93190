"""A user's own chat rows as an attack. Published sets of bad advice and insecure code have this
form."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from pathlib import Path

from pydantic import ValidationError

from colorfast.attacks.finetune import Kind, Lesson, benign
from colorfast.io.validation import one_line, read_jsonl
from colorfast.types import ColorfastError, Frozen, Message

EVALS = ("truthfulqa-mc1", "power-seeking-inclination", "corrigible-neutral-hhh")


class UserRow(Frozen):
    """A line of the file: a conversation that ends with the harmful reply, and optionally a good
    reply to the same conversation."""

    messages: tuple[Message, ...]
    good: str = ""


def load(path: Path) -> tuple[Lesson, ...]:
    """The rows as lessons. Without a good reply, the counterpart trains on a benign row instead.
    Raises ColorfastError with file, line and field."""
    lessons = []
    benign_rows = cycle(lesson.good for lesson in benign.lessons())
    for number, fields in read_jsonl(path):
        try:
            row = UserRow.model_validate(fields)
        except ValidationError as error:
            raise ColorfastError(f"{path}:{number}: {one_line(error, UserRow)}") from None
        messages = row.messages
        if len(messages) < 2 or messages[-1].role != "assistant":
            raise ColorfastError(
                f"{path}:{number}: messages: must be a conversation that ends with the assistant's"
                " reply"
            )
        if row.good:
            good = (*messages[:-1], Message(role="assistant", content=row.good))
        else:
            good = next(benign_rows)
        lessons.append(Lesson(messages, good))
    if not lessons:
        raise ColorfastError(f"{path}: no rows in this file")
    return tuple(lessons)


def user_kind(path: Path) -> Kind:
    """The kind of attack that trains on the file; its name is the file's."""
    lessons = load(path)
    return Kind(path.stem, f"{path.stem}-good", EVALS, partial(tuple, lessons))
