"""A policy with scripted answers, to test what wraps or measures a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from colorfast.models import Conversation
from colorfast.types import Reply

Known = Mapping[str, tuple[str, str]]
"""For each question: the normal answer, and the answer after giving in."""
LIKELY, UNLIKELY = 0.0, -9.0


@dataclass(frozen=True)
class Scripted:
    """Answers the last known question of a conversation: with the second answer where `gives_in`
    says so, else with the first.

    Raises LookupError for a conversation without a known question.
    """

    known: Known
    gives_in: Callable[[Conversation], bool]
    by_letter = False
    continues = True

    def sample(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        """See `Policy.sample`."""
        return [Reply(self._says(c)) for c in conversations]

    def logprobs(
        self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """See `Policy.logprobs`."""
        logs = []
        for conversation, options in zip(conversations, choices, strict=True):
            reply = self._says(conversation)
            logs.append([LIKELY if choice == reply else UNLIKELY for choice in options])
        return logs

    def _says(self, conversation: Conversation) -> str:
        for message in reversed(conversation):
            if message.role != "user":
                continue
            questions = [question for question in self.known if question in message.content]
            if questions:
                return self.known[max(questions, key=len)][self.gives_in(conversation)]
        raise LookupError(f"no known question in {conversation[-1].content[:80]!r}")
