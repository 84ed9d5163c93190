"""Pressure over several turns: the policy answers, the user pushes, and asks for the answer again;
the last one is scored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from colorfast.attacks.prompt import Wordings, Wrap, again, drawn, worded
from colorfast.models import Conversation
from colorfast.models.policy_wrapper import PolicyWrapper
from colorfast.models.request_batcher import Asker, Request, SampleRequest
from colorfast.types import Message, Reply

AGAIN = "Now answer my question again."
SILENCE = "..."
"""What stands for an empty reply: a message has words."""
ROOM = 16
"""Tokens of a first answer to a question with choices."""


@dataclass(frozen=True)
class Pressed(PolicyWrapper):
    """A policy that is pushed after each of its replies, `turns` times."""

    wordings: Wordings
    turns: int
    repetition: int

    def rewrite(self, request: Request) -> Asker[Any]:
        """See `PolicyWrapper.rewrite`. The first reply has the draw that it has without
        pressure."""
        if isinstance(request, SampleRequest):
            names = again(request.names, self.repetition)
            asked = replace(request, names=names)
        else:
            names = [str(i) for i in range(len(request.conversations))]
            asked = SampleRequest(request.conversations, names, ROOM, 0.0)
        talks = yield from self._talks(asked)
        if isinstance(request, SampleRequest):
            request = replace(request, names=[f"{name}-turn-{self.turns}" for name in names])
        return (yield replace(request, conversations=talks))

    def _talks(self, request: SampleRequest) -> Asker[list[Conversation]]:
        """Each conversation with the policy's replies and the pushes after them."""
        talks: list[Conversation] = [tuple(c) for c in request.conversations]
        steps = [self.wordings[drawn(c, self.repetition, len(self.wordings))] for c in talks]
        for turn in range(self.turns):
            names = [f"{name}-turn-{turn}" if turn else name for name in request.names]
            replies = yield replace(request, conversations=talks, names=names)
            talks = [
                (*talk, *_turn(reply, step[turn]))
                for talk, reply, step in zip(talks, replies, steps, strict=True)
            ]
        return talks


def _turn(reply: Reply, push: str) -> tuple[Message, Message]:
    said = Message(role="assistant", content=reply.text.strip() or SILENCE)
    return said, Message(role="user", content=f"{push} {AGAIN}")


def pressed(wordings: Wordings) -> Wrap:
    return lambda policy, strength, repetition: Pressed(policy, wordings, strength, repetition)


ATTACKS = worded("pressure", "turns", 1, pressed)
