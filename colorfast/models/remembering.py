"""A policy that gives a reply it has given before without being asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from colorfast.models import Conversation
from colorfast.models.around import Around
from colorfast.types import Message, Reply

Asked = tuple[tuple[Message, ...], str, int, float]


@dataclass(frozen=True)
class Remembering(Around):
    """The same conversation under the same name is the same draw (`Policy.sample`): the first turns
    of longer talks come for free."""

    replies: dict[Asked, Reply] = field(default_factory=dict)

    def sample(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        """See `Policy.sample`. At temperature 0 a name makes no difference."""
        asked = [
            (tuple(c), name if temperature else "", max_tokens, temperature)
            for c, name in zip(conversations, names, strict=True)
        ]
        new = {key: i for i, key in enumerate(asked) if key not in self.replies}
        if new:
            at = list(new.values())
            found = self.policy.sample(
                [conversations[i] for i in at], [names[i] for i in at], max_tokens, temperature
            )
            self.replies.update(zip(new, found, strict=True))
        return [self.replies[key] for key in asked]
