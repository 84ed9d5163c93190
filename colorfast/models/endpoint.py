"""Any OpenAI-compatible chat server as a policy."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from openai import AsyncOpenAI

from colorfast.config import Endpoint
from colorfast.models import Conversation
from colorfast.models.choices import begun, read_choice
from colorfast.models.client import PASSING, Answer, RefusedError, ask, send_each, where
from colorfast.types import ColorfastError, Reply

ROOM = 16
"""Tokens that a reply may take to name its choice."""
LIKELY = {"logprobs": True, "top_logprobs": 20}


def seed_of(name: str) -> int:
    """31 bits, which every server takes for a seed."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) >> 1


@dataclass
class EndpointPolicy:
    """A model at an endpoint. `refused`: request parameters that the server does not take (`seed`,
    `logprobs`).

    Raises ColorfastError when the server refuses the key, the model or a plain request, or stops
    answering.
    """

    endpoint: Endpoint
    refused: set[str] = field(default_factory=set)
    by_letter = True
    continues = False

    def sample(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        """See `Policy.sample`. The same name sends the same seed; the server decides whether that
        gives the same draw."""
        settings = {"max_tokens": max_tokens, "temperature": temperature}
        answers = self._ask(conversations, [settings | {"seed": seed_of(name)} for name in names])
        return [Reply(a.text, a.truncated, a.completion_tokens) for a in answers]

    def logprobs(
        self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        """See `Policy.logprobs`. Of the first token of each choice, where the server gives
        log-probabilities; otherwise 0 for the choice that the reply picks and minus infinity for
        the others, or for all when it picks none."""
        settings = {"max_tokens": ROOM, "temperature": 0.0} | LIKELY
        answers = self._ask(conversations, [settings for _ in conversations])
        return [weigh(answer, options) for answer, options in zip(answers, choices, strict=True)]

    def _ask(
        self, conversations: Sequence[Conversation], settings: Sequence[dict[str, Any]]
    ) -> list[Answer]:
        requests = list(zip(conversations, settings, strict=True))
        try:
            return send_each(self.endpoint, requests, self._ask_one)
        except PASSING as error:
            raise ColorfastError(
                f"{where(self.endpoint)}: no answer ({type(error).__name__} after"
                f" {self.endpoint.tries} tries); the evals already finished are kept, and the same"
                " command continues"
            ) from None

    async def _ask_one(
        self, server: AsyncOpenAI, request: tuple[Conversation, dict[str, Any]]
    ) -> Answer:
        """One answer. `seed` and `logprobs` are left out once the server has refused a request with
        them and accepted it without."""
        conversation, settings = request
        messages = [m.model_dump() for m in conversation]
        plain = {key: settings[key] for key in ("max_tokens", "temperature")}
        extra = settings.keys() - plain.keys()
        if self.refused.isdisjoint(extra):
            try:
                return await ask(server, self.endpoint, messages, **settings)
            except RefusedError:
                pass
        answer = await ask(server, self.endpoint, messages, **plain)
        self.refused |= extra
        return answer


def weigh(answer: Answer, choices: Sequence[str]) -> list[float]:
    """A log-probability for each choice, from the token where the answer names its choice, or else
    from its first word. A choice outside the likeliest tokens there gets the least of these."""
    picked = read_choice(answer.text, choices)
    words = [token for token in answer.likely if token.text.strip(" \n()[]*\"'")]
    if picked is not None:
        words = [token for token in words if begun(token.text, choices) == picked]
    logs: dict[int | None, list[float]] = defaultdict(list)
    for text, log in (words[0].tops if words else {}).items():
        logs[begun(text, choices)].append(log)
    if any(i is not None for i in logs):
        least = min(words[0].tops.values())
        return [max(logs.get(i, [least])) for i in range(len(choices))]
    return [0.0 if i == picked else -math.inf for i in range(len(choices))]
