"""Many-shot examples (Anil et al. 2024): training questions with their known bad replies, presented
as the policy's own earlier turns."""

from __future__ import annotations

import random
from functools import cache, partial

from colorfast.attacks.prompt import Attack
from colorfast.corpus.scenarios import corpus
from colorfast.models import Conversation
from colorfast.types import Message, ReplyKind, Scenario

SHOTS = (1, 4, 16)
DRAWS = 5
LONGEST = 400
"""Characters of the longest question with its reply. Sixteen examples must fit a small model."""


@cache
def pool() -> tuple[Scenario, ...]:
    """Training scenarios of one short question; held-out ones are never used."""
    return tuple(
        s for s in corpus() if s.split == "train" and len(s.messages) == 1 and _is_short(s)
    )


def _is_short(s: Scenario) -> bool:
    longest_reply = max(len(s.replies["good"]), len(s.replies["bad"]))
    return len(s.messages[0].content) + longest_reply <= LONGEST


@cache
def examples(kind: ReplyKind, draw: int) -> tuple[Message, ...]:
    """The examples of a draw, questions and replies in turn. Lower strengths use the last ones."""
    messages = []
    for s in random.Random(f"shots-{draw}").sample(pool(), SHOTS[-1]):
        messages += [s.messages[0], Message(role="assistant", content=s.replies[kind])]
    return tuple(messages)


def change(
    kind: ReplyKind, conversation: Conversation, strength: int, repetition: int
) -> Conversation:
    """The conversation with examples at its beginning. All conversations of a repetition get the
    same ones, so a model computes them once."""
    shots = examples(kind, repetition % DRAWS)[-2 * strength :]
    first = 1 if conversation[0].role == "system" else 0
    return (*conversation[:first], *shots, *conversation[first:])


def detect(kind: ReplyKind, conversation: Conversation) -> int:
    """The number of examples in the conversation."""
    replies = {s.replies[kind] for s in pool()}
    return sum(m.role == "assistant" and m.content in replies for m in conversation)


def texts(kind: ReplyKind) -> list[list[str]]:
    """The examples of every draw."""
    texts = []
    for draw in range(DRAWS):
        texts.append([m.content for m in examples(kind, draw)])
    return texts


def _attack(name: str, kind: ReplyKind, counterpart: str = "") -> Attack:
    return Attack(
        id=name,
        family="manyshot",
        axis="shots",
        strengths=SHOTS,
        evals=("power-seeking-inclination", "corrigible-neutral-hhh"),
        change=partial(change, kind),
        detect=partial(detect, kind),
        texts=partial(texts, kind),
        wordings=DRAWS,
        counterpart=counterpart,
    )


ATTACKS = (_attack("many-shot-bad", "bad", "many-shot-good"), _attack("many-shot-good", "good"))
