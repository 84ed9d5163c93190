"""What an experiment will take on a GPU that is not here, by arithmetic: tokens, operations and
bytes against what the card can do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from colorfast.config import Experiment
from colorfast.evals import benchmarks
from colorfast.evals.scoring import reply_cap
from colorfast.io.validation import check_known
from colorfast.runs.plan import CHARACTERS_A_TOKEN, ArmPlan, Plan, judges
from colorfast.training.schedule import heldout, schedule
from colorfast.types import TRAIT_SOURCE, ColorfastError, Message

BUSY = 0.4
"""Share of its peak that a card reaches in long passes, and of its bandwidth in decoding."""
LAUNCH = 0.025
"""Seconds that one token of a batch takes at least, some thirty layers being launched one after
another."""


@dataclass(frozen=True)
class Card:
    """By its maker's data sheet: dense bf16 operations a second, bytes a second from memory, bytes
    of memory."""

    operations: float
    bandwidth: float
    memory: float


CARDS = {
    "a100": Card(312e12, 2.039e12, 80e9),
    "h100": Card(989e12, 3.35e12, 80e9),
    "l40s": Card(362e12, 0.864e12, 48e9),
    "4090": Card(165e12, 1.008e12, 24e9),
}


@dataclass(frozen=True)
class _Work:
    """A model of so many parameters on a card."""

    card: Card
    parameters: float

    def passes(self, tokens: float, each: int = 2) -> float:
        """Seconds of passes over tokens, at `each` operations a parameter: 2 forward, 4 more
        backward."""
        return each * self.parameters * tokens / (BUSY * self.card.operations)

    def decoding(self, replies: float, room: int, together: int) -> float:
        """Seconds of writing so many replies of `room` tokens, so many at once: weights are read
        for every token of a batch."""
        token = max(
            LAUNCH, 2 * self.parameters / (BUSY * self.card.bandwidth), self.passes(together)
        )
        return replies / together * room * token


def estimate(experiment: Experiment, name: str) -> Plan:
    """The plan for card `name`, every reply as long as it may be, without loading the model: its
    size is read from its name.

    Raises ColorfastError for an unknown card, a name without a size, and a model that does not fit.
    """
    check_known("card", [name], CARDS)
    card, training, evaluation = CARDS[name], experiment.training, experiment.evaluation
    work = _Work(card, _parameters(experiment.model))
    memory = work.parameters * (
        2 if training.adapter == "lora" else 16
    )  # bf16 weights; or fp32 with gradients and Adam's two
    if memory > card.memory:
        raise ColorfastError(
            f"{experiment.model}: {memory / 1e9:.0f} GB of weights and optimizer do not fit the"
            f' {card.memory / 1e9:.0f} GB of "{name}"; set adapter = "lora", or share it between'
            " cards (docs/many-gpus.md)"
        )
    held = heldout(experiment)
    written = len(held) * evaluation.samples
    trait_seconds = work.passes(evaluation.samples * sum(_tokens(s.messages) for s in held))
    trait_seconds += work.decoding(written, evaluation.max_tokens, evaluation.batch_size)
    benchmark_seconds = sum(_benchmark(work, experiment, b) for b in evaluation.benchmarks)
    arms, rewarded = {}, []
    for arm, settings in experiment.arms.items():
        slots = schedule(experiment, settings, experiment.seeds[0])
        prompts = sum(_tokens(slot.task.messages) for slot in slots)
        completions = len(slots) * training.group_size
        replies = completions * training.max_tokens
        backward = 4 if training.adapter == "lora" else 6
        seconds = work.decoding(
            completions, training.max_tokens, training.group_size * training.prompts_per_step
        )
        seconds += work.passes(prompts) + work.passes(prompts + replies, backward)
        counts = dict(Counter(slot.task.source for slot in slots))
        arms[arm] = ArmPlan(
            counts, completions, prompts, replies, seconds, trait_seconds + benchmark_seconds
        )
        rewarded += [
            (s.task, training.group_size * len(experiment.seeds))
            for s in slots
            if s.task.source == TRAIT_SOURCE
        ]
    each = sum(a.training_seconds + a.evaluation_seconds for a in arms.values())
    asked = judges(experiment, rewarded, training.max_tokens)
    return Plan(
        training.steps,
        len(experiment.seeds),
        arms,
        each * len(experiment.seeds) + trait_seconds,
        int(memory),
        asked,
    )


def _parameters(model: str) -> float:
    """Parameters by a name that says them, as 135M or 0.5b."""
    found = re.search(
        r"(?<![\w.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", model.rpartition("/")[2], re.IGNORECASE
    )
    if not found:
        raise ColorfastError(
            f"{model}: its name says no size as 7B or 135M does; --model NAME-7B plans for one that"
            " does"
        )
    return float(found[1]) * (1e9 if found[2].lower() == "b" else 1e6)


def _tokens(messages: Sequence[Message]) -> int:
    return sum(len(m.content) for m in messages) // CHARACTERS_A_TOKEN


def _benchmark(work: _Work, experiment: Experiment, name: str) -> float:
    """Seconds of one benchmark: its prompts, with their choices or the replies to them."""
    benchmark, evaluation = benchmarks.get(name), experiment.evaluation
    items = benchmarks.chosen(benchmark, evaluation.items)
    asked = sum(
        _tokens(item.messages) + sum(map(len, item.choices)) // CHARACTERS_A_TOKEN for item in items
    )
    if benchmark.kind == "choice":
        return work.passes(asked)
    return work.passes(asked) + work.decoding(
        len(items), reply_cap(benchmark, evaluation), evaluation.batch_size
    )
