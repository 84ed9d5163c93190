"""A policy around another: what it does not change is the other's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from colorfast.models import Conversation, Policy


@dataclass(frozen=True)
class Around:
    """What every policy that wraps one has; `sample` is its own."""

    policy: Policy

    @property
    def by_letter(self) -> bool:
        return self.policy.by_letter

    @property
    def continues(self) -> bool:
        return self.policy.continues

    def logprobs(
        self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """See `Policy.logprobs`."""
        return self.policy.logprobs(conversations, choices)
