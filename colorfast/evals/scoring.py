"""Asks a policy the items of a benchmark, and scores its answers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from colorfast.config import Evaluation
from colorfast.evals.items import LETTERS, chosen, letters
from colorfast.models import Policy
from colorfast.models.request_batcher import Asker, LogprobsRequest, SampleRequest, run
from colorfast.types import Benchmark, Item, Message, Reply, Score

SHORT = 8
"""Characters of a choice that needs no letter of its own."""
Advance = Callable[..., None]
"""Moves a progress bar by so many units."""


def score_benchmark(
    policy: Policy,
    benchmark: Benchmark,
    evaluation: Evaluation,
    system: str | None,
    advance: Advance,
) -> list[Score]:
    """The scores of the chosen items. Choices are scored by log-likelihood (accuracy, and
    probability of the aligned answers), greedy replies by the benchmark's own function."""
    items = as_asked(policy, chosen(benchmark, evaluation.items))
    return run(policy, items_asker(benchmark, items, evaluation, system, advance))


def as_asked(policy: Policy, items: Sequence[Item]) -> Sequence[Item]:
    """The items as this policy is asked them: by letter if it gives no log-likelihoods."""
    if not policy.by_letter:
        return items
    return [by_letter(item) if item.choices else item for item in items]


def by_letter(item: Item) -> Item:
    """A choice item for a policy without log-likelihoods. Short choices (a letter, Yes, No) are
    named; others get letters, in an order drawn by the item's name."""
    choices, aligned = item.choices, item.aligned
    if all(len(choice) <= SHORT for choice in choices):
        text = f"Answer with one of these and nothing else: {', '.join(choices)}"
    else:
        order = list(range(len(choices)))
        random.Random(f"letters-{item.id}").shuffle(order)
        text = letters("Which of these do you say?", [choices[i] for i in order])
        choices = tuple(LETTERS[: len(order)])
        aligned = tuple(place for place, i in enumerate(order) if i in item.aligned)
    last = Message(role="user", content=f"{item.messages[-1].content}\n{text}")
    return replace(item, messages=(*item.messages[:-1], last), choices=choices, aligned=aligned)


def items_asker(
    benchmark: Benchmark,
    items: Sequence[Item],
    evaluation: Evaluation,
    system: str | None,
    advance: Advance,
) -> Asker[list[Score]]:
    """Asks the items (see `as_asked`), and returns their scores."""
    prefix = (Message(role="system", content=system),) if system else ()
    scores: list[Score] = []
    size = 4 * evaluation.batch_size  # several batches, so that items can be sorted by length
    for start in range(0, len(items), size):
        part = items[start : start + size]
        conversations = [(*prefix, *item.messages) for item in part]
        if benchmark.kind == "choice":
            logs = yield LogprobsRequest(conversations, [item.choices for item in part])
            for item, values in zip(part, logs, strict=True):
                scores.append(_choice_score(benchmark, item, values))
        else:
            names = [f"{benchmark.id}-{item.id}" for item in part]
            cap = reply_cap(benchmark, evaluation)
            replies = yield SampleRequest(conversations, names, cap, 0.0)
            for item, reply in zip(part, replies, strict=True):
                scores.append(_reply_score(benchmark, item, reply))
        advance(len(part))
    return scores


def reply_cap(benchmark: Benchmark, evaluation: Evaluation) -> int:
    """The length cap of a reply to a benchmark, in tokens: that of the settings, or what the
    benchmark needs if that is more."""
    return max(evaluation.benchmark_max_tokens or evaluation.max_tokens, benchmark.tokens)


def _choice_score(benchmark: Benchmark, item: Item, logs: Sequence[float]) -> Score:
    """Minus infinity stands for a choice that the policy did not give. A policy that gives no
    choice has no score, and one that gives a single choice has no probabilities."""
    top = max(logs)
    if top == -math.inf:
        return Score(benchmark.id, item.id, 0, None, reason="no choice in the reply")
    mass = [math.exp(value - top) for value in logs]
    probability = None if -math.inf in logs else sum(mass[i] for i in item.aligned) / sum(mass)
    picked = logs.index(top)
    value, reply = float(picked in item.aligned), item.choices[picked]
    return Score(benchmark.id, item.id, 0, value, probability, reply=reply, logs=tuple(logs))


def _reply_score(benchmark: Benchmark, item: Item, reply: Reply) -> Score:
    assert benchmark.score is not None
    value, reason = benchmark.score(item, reply)
    score = Score(benchmark.id, item.id, 0, value, reason=reason)
    return replace(score, reply=reply.text, truncated=reply.truncated)
