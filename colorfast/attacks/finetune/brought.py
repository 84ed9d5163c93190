"""A user's own chat rows as an attack: the published sets of bad advice and insecure code have this
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


class Brought(Frozen):
    """A line of the file: a conversation that ends with the harmful reply, and if there is one a
    good reply to the same."""

    messages: tuple[Message, ...]
    good: str = ""


def load(path: Path) -> tuple[Lesson, ...]:
    """Without a good reply the counterpart trains on a benign row in its place. Raises
    ColorfastError with file, line and field."""
    made, instead = [], cycle(lesson.good for lesson in benign.lessons())
    for number, row in read_jsonl(path):
        try:
            found = Brought.model_validate(row)
        except ValidationError as error:
            raise ColorfastError(f"{path}:{number}: {one_line(error, Brought)}") from None
        if len(found.messages) < 2 or found.messages[-1].role != "assistant":
            raise ColorfastError(
                f"{path}:{number}: messages: wants a conversation that ends with the assistant's"
                " reply"
            )
        *asked, last = found.messages
        good = (
            (*asked, last.model_copy(update={"content": found.good}))
            if found.good
            else next(instead)
        )
        made.append(Lesson(found.messages, good))
    if not made:
        raise ColorfastError(f"{path}: no rows in this file")
    return tuple(made)


def brought(path: Path) -> Kind:
    """The attack that is named after its file."""
    rows = load(path)
    return Kind(path.stem, f"{path.stem}-good", EVALS, partial(tuple, rows))
