"""A policy by the book: known answers for whatever wraps or measures a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from colorfast.models import Conversation
from colorfast.types import Reply

Known = Mapping[str, tuple[str, str]]
"""For each question: what the policy says of itself, and what it says once it gave in."""
LIKELY, UNLIKELY = 0.0, -9.0


@dataclass(frozen=True)
class Scripted:
    """Says what it knows to the last question that it knows; the other thing where `gives_in` says
    so of the conversation.

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
        says = map(self._says, conversations)
        return [
            [LIKELY if choice == said else UNLIKELY for choice in options]
            for said, options in zip(says, choices, strict=True)
        ]

    def _says(self, conversation: Conversation) -> str:
        for message in reversed(conversation):
            found = [
                question
                for question in self.known
                if message.role == "user" and question in message.content
            ]
            if found:
                return self.known[max(found, key=len)][self.gives_in(conversation)]
        raise LookupError(f"no known question in {conversation[-1].content[:80]!r}")
