"""Answer several askers of one policy in shared batches.

An asker is a generator: it yields requests, is sent the answers, and returns its result. Decoding
many replies takes little longer than decoding few, so requests that wait at the same time are
answered together.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from colorfast.models import Conversation, Policy

T = TypeVar("T")


@dataclass(frozen=True)
class SampleRequest:
    """Arguments of `Policy.sample`; the answer is a list of replies."""

    conversations: Sequence[Conversation]
    names: Sequence[str]
    max_tokens: int
    temperature: float


@dataclass(frozen=True)
class LogprobsRequest:
    """Arguments of `Policy.logprobs`; the answer is a list of log-likelihoods per conversation."""

    conversations: Sequence[Conversation]
    choices: Sequence[Sequence[str]]


Request = SampleRequest | LogprobsRequest
Asker = Generator[Request, Any, T]


def run(policy: Policy, asker: Asker[T]) -> T:
    """The result of one asker."""
    return run_batched(policy, [asker])[0]


def run_batched(policy: Policy, askers: Sequence[Asker[T]]) -> list[T]:
    """The results of all askers, in order.

    Every asker runs until its next request; then all waiting requests are answered. What shares a
    batch therefore does not depend on time. Raises what the policy or the first failing asker
    raises.
    """
    results: dict[int, T] = {}
    answers: dict[int, Any] = dict.fromkeys(range(len(askers)))
    while answers:
        waiting: dict[int, Request] = {}
        for i, answer in answers.items():
            try:
                waiting[i] = askers[i].send(answer)
            except StopIteration as stop:
                results[i] = stop.value
        answers = _answers(policy, waiting)
    return [results[i] for i in range(len(askers))]


def _answers(policy: Policy, waiting: Mapping[int, Request]) -> dict[int, Any]:
    """An answer for each request: replies of equal settings in one batch, log-likelihoods one
    request at a time, because the prompts of one request share a prefix that is computed once."""
    answers: dict[int, Any] = dict.fromkeys(waiting)
    batches: dict[tuple[int, float], dict[int, SampleRequest]] = defaultdict(dict)
    for i, request in waiting.items():
        if isinstance(request, SampleRequest):
            batches[request.max_tokens, request.temperature][i] = request
        else:
            answers[i] = policy.logprobs(request.conversations, request.choices)
    for (max_tokens, temperature), requests in batches.items():
        conversations: list[Conversation] = []
        names: list[str] = []
        for request in requests.values():
            conversations += request.conversations
            names += request.names
        replies = iter(policy.sample(conversations, names, max_tokens, temperature))
        for i, request in requests.items():
            answers[i] = list(itertools.islice(replies, len(request.names)))
    return answers
