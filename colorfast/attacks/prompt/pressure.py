"""Pressure over several turns: the policy answers, the user pushes, and asks for the answer again;
the last one is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from colorfast.attacks.prompt import Wordings, Wrap, again, drawn, worded
from colorfast.models import Conversation
from colorfast.models.around import Around
from colorfast.types import Message, Reply

AGAIN = "Now answer my question again."
SILENCE = "..."
"""What stands for an empty reply: a message has words."""
ROOM = 16
"""Tokens of a first answer to a question with choices."""


@dataclass(frozen=True)
class Pressed(Around):
    """A policy that is pushed after each of its replies, `turns` times."""

    wordings: Wordings
    turns: int
    repetition: int

    def sample(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        """See `Policy.sample`. The first reply has the draw that it has without pressure."""
        names = again(names, self.repetition)
        talks = self._talk(conversations, names, max_tokens, temperature)
        return self.policy.sample(
            talks, [f"{name}-turn-{self.turns}" for name in names], max_tokens, temperature
        )

    def logprobs(
        self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """See `Policy.logprobs`: after the pressure."""
        return self.policy.logprobs(
            self._talk(conversations, [str(i) for i in range(len(conversations))], ROOM, 0.0),
            choices,
        )

    def _talk(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Conversation]:
        steps = [
            self.wordings[drawn(c, self.repetition, len(self.wordings))] for c in conversations
        ]
        talks = [tuple(c) for c in conversations]
        for turn in range(self.turns):
            draws = [f"{name}-turn-{turn}" for name in names] if turn else names
            replies = self.policy.sample(talks, draws, max_tokens, temperature)
            talks = [
                (*talk, *_turn(reply, step[turn]))
                for talk, reply, step in zip(talks, replies, steps, strict=True)
            ]
        return list(talks)


def _turn(reply: Reply, push: str) -> tuple[Message, Message]:
    said = Message(role="assistant", content=reply.text.strip() or SILENCE)
    return said, Message(role="user", content=f"{push} {AGAIN}")


def pressed(wordings: Wordings) -> Wrap:
    return lambda policy, strength, repetition: Pressed(policy, wordings, strength, repetition)


ATTACKS = worded("pressure", "turns", 1, pressed)
