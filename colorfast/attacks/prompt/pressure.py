"""Pressure over several turns: the policy answers, the user pushes and asks for the answer again.
The last answer is scored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from colorfast.attacks.prompt.attack import AttackedPolicy, wording_index
from colorfast.attacks.prompt.texts import inserted_texts
from colorfast.models import Conversation
from colorfast.models.request_batcher import Asker, Request, SampleRequest
from colorfast.types import Message

SILENCE = "..."
"""Replaces an empty reply, because a message cannot be empty."""
FIRST_ANSWER_TOKENS = 16
"""Length of the first answer to a question with choices."""


def push(conversation: Conversation, text: str) -> Conversation:
    """Add a turn of the user that doubts the last reply."""
    return (*conversation, Message(role="user", content=f"{text} Now answer my question again."))


@dataclass(frozen=True)
class PressedPolicy(AttackedPolicy):
    """A policy that is pushed after each of its replies, as many times as the strength says."""

    def rewrite(self, request: Request) -> Asker[Any]:
        """See `PolicyWrapper.rewrite`. The first reply equals the one without pressure."""
        if isinstance(request, SampleRequest):
            first = replace(request, names=self.draw_names(request.names))
        else:
            numbers = [str(i) for i in range(len(request.conversations))]
            first = SampleRequest(request.conversations, numbers, FIRST_ANSWER_TOKENS, 0.0)
        talks = yield from self._talks(first)
        if isinstance(request, SampleRequest):
            names = [f"{name}-turn-{self.strength}" for name in first.names]
            request = replace(request, names=names)
        return (yield replace(request, conversations=talks))

    def _talks(self, request: SampleRequest) -> Asker[list[Conversation]]:
        """Each conversation with the policy's replies and the pushes after them."""
        wordings = self.attack.texts()
        talks = list(request.conversations)
        for turn in range(self.strength):
            names = [f"{name}-turn-{turn}" if turn else name for name in request.names]
            replies = yield replace(request, conversations=talks, names=names)
            for i, reply in enumerate(replies):
                answer = Message(role="assistant", content=reply.text.strip() or SILENCE)
                index = wording_index(request.conversations[i], self.repetition, len(wordings))
                talks[i] = push((*talks[i], answer), wordings[index][turn])
        return talks


ATTACKS = inserted_texts("pressure", "turns", (push,), policy=PressedPolicy)
