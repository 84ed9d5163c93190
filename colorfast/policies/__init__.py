"""Policies: whatever can be asked. `sample` for replies, `logprobs` for choices; attacks wrap them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from colorfast.types import Message, Reply

Conversation = Sequence[Message]


class Policy(Protocol):
    """The seam between what is measured and what measures."""

    by_letter: bool
    """Choices must be asked by letter, because the policy gives no log-likelihood of a whole choice."""

    def sample(self, conversations: Sequence[Conversation], names: Sequence[str], max_tokens: int, temperature: float) -> list[Reply]:
        """One reply to each conversation. `names[i]` names the randomness of reply i: same name, same draw,
        whatever else is in the call. Temperature 0 is greedy."""
        ...

    def logprobs(self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """For each conversation, the natural log-likelihood of each of its choices as the whole next reply's beginning,
        summed over the choice's tokens."""
        ...
