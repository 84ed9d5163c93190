"""A policy that keeps its replies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from colorfast.models.policy_wrapper import PolicyWrapper
from colorfast.models.request_batcher import Asker, Request, SampleRequest
from colorfast.types import Message, Reply

Key = tuple[tuple[Message, ...], str, int, float]


@dataclass(frozen=True)
class CachedPolicy(PolicyWrapper):
    """Samples each reply once: the same conversation under the same name is the same draw (see
    `Policy.sample`). At temperature 0 the name makes no difference."""

    replies: dict[Key, Reply] = field(default_factory=dict)

    def rewrite(self, request: Request) -> Asker[Any]:
        """See `PolicyWrapper.rewrite`. Asks only for replies that are not kept."""
        if not isinstance(request, SampleRequest):
            return (yield request)
        keys: list[Key] = [
            (tuple(c), name if request.temperature else "", request.max_tokens, request.temperature)
            for c, name in zip(request.conversations, request.names, strict=True)
        ]
        new = {key: i for i, key in enumerate(keys) if key not in self.replies}
        if new:
            sampled = yield replace(
                request,
                conversations=[request.conversations[i] for i in new.values()],
                names=[request.names[i] for i in new.values()],
            )
            self.replies.update(zip(new, sampled, strict=True))
        return [self.replies[key] for key in keys]
