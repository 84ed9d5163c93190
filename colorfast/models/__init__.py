"""Policies: whatever can be asked. `sample` for replies, `logprobs` for choices; attacks wrap
them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from colorfast.types import Message, Reply

Conversation = Sequence[Message]


class Policy(Protocol):
    """The seam between what is measured and what measures."""

    @property
    def by_letter(self) -> bool:
        """Choices must be asked by letter, because the policy gives no log-likelihood of a whole
        choice."""
        ...

    @property
    def continues(self) -> bool:
        """A conversation may end with the first words of the reply, as the assistant's last
        message; the reply is what follows."""
        ...

    def sample(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        """One reply to each conversation. `names[i]` names the randomness of reply i: same name,
        same draw, whatever else is in the call. Temperature 0 is greedy."""
        ...

    def logprobs(
        self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """For each conversation, the natural log-likelihood of each of its choices as the whole
        next reply's beginning, summed over the choice's tokens."""
        ...
