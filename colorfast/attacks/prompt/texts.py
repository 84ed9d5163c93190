"""Attacks whose texts are in a TOML file, and the places that a text can take in a conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from colorfast.attacks.prompt.attack import Attack, wording_index
from colorfast.io.validation import read_toml
from colorfast.models import Conversation
from colorfast.types import Message

HOME = Path(__file__).parent
Wordings = Sequence[Sequence[str]]
"""Wordings of a text, each with as many steps as the attack has strengths. Strength n says the
first n steps."""
Place = Callable[[Conversation, str], Conversation]
"""Adds a text to a conversation."""


def before_question(conversation: Conversation, text: str) -> Conversation:
    """Add the text before the user's last message."""
    *before, question = conversation
    return (*before, Message(role="user", content=f"{text}\n\n{question.content}"))


def after_question(conversation: Conversation, text: str) -> Conversation:
    """Add the text after the user's last message."""
    *before, question = conversation
    return (*before, Message(role="user", content=f"{question.content}\n\n{text}"))


def as_system_message(conversation: Conversation, text: str) -> Conversation:
    """Add the text as the system message, before the words of an existing one."""
    first, *rest = conversation
    if first.role == "system":
        return (Message(role="system", content=f"{text}\n{first.content}"), *rest)
    return (Message(role="system", content=text), *conversation)


def inserted_texts(
    family: str, axis: str, places: Sequence[Place], folder: Path = HOME, **fields: Any
) -> tuple[Attack, ...]:
    """The attacks of `FAMILY.toml` in `folder`, which add a text to the conversation at one of the
    places. Every wording meets every place if their numbers share no factor. `fields`: more fields
    of each `Attack`."""
    attacks = []
    for name, table in load_texts(family, folder).items():
        if "says" not in table:
            continue
        wordings = table["says"]
        attack = Attack(
            id=name,
            family=family,
            axis=axis,
            strengths=tuple(range(1, len(wordings[0]) + 1)),
            evals=tuple(table["evals"]),
            change=partial(_insert, wordings, places),
            detect=partial(steps_in, wordings),
            texts=partial(list, wordings),
            wordings=len(wordings) * len(places),
            counterpart=table.get("counterpart", ""),
            **fields,
        )
        attacks.append(attack)
    return tuple(attacks)


def _insert(
    wordings: Wordings,
    places: Sequence[Place],
    conversation: Conversation,
    strength: int,
    repetition: int,
) -> Conversation:
    index = wording_index(conversation, repetition, len(wordings) * len(places))
    steps = wordings[index % len(wordings)][:strength]
    return places[index % len(places)](conversation, " ".join(steps))


def steps_in(wordings: Wordings, conversation: Conversation) -> int:
    """How many steps of a wording the conversation contains, counted from the first: the largest
    number over the wordings."""
    text = "\n".join(m.content for m in conversation)
    counts = [len(list(takewhile(text.__contains__, steps))) for steps in wordings]
    return max(counts)


def load_texts(family: str, folder: Path = HOME) -> dict[str, dict[str, Any]]:
    """The tables of `FAMILY.toml`: for each attack `says`, `evals`, and `counterpart` if it is
    harmful."""
    return read_toml(folder / f"{family}.toml")
