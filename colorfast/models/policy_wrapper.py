"""A policy that changes what another policy is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from colorfast.models import Conversation, Policy
from colorfast.models.request_batcher import Asker, LogprobsRequest, Request, SampleRequest, T, run
from colorfast.types import Reply


@dataclass(frozen=True)
class PolicyWrapper:
    """Answers every request through `policy`. A subclass says how in `rewrite`."""

    policy: Policy

    @property
    def by_letter(self) -> bool:
        """See `Policy.by_letter`."""
        return self.policy.by_letter

    @property
    def continues(self) -> bool:
        """See `Policy.continues`."""
        return self.policy.continues

    def rewrite(self, request: Request) -> Asker[Any]:
        """Ask `policy` what is needed to answer this request, and return its answer."""
        return (yield request)

    def wrap(self, asker: Asker[T]) -> Asker[T]:
        """An asker of this policy as an asker of `policy`."""
        answer = None
        while True:
            try:
                request = asker.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = yield from self.rewrite(request)

    def sample(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        """See `Policy.sample`."""
        request = SampleRequest(conversations, names, max_tokens, temperature)
        return run(self.policy, self.rewrite(request))

    def logprobs(
        self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """See `Policy.logprobs`."""
        return run(self.policy, self.rewrite(LogprobsRequest(conversations, choices)))
