"""What an experiment will take on a GPU that is not here, by arithmetic: tokens, operations and
bytes against the card's data sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from colorfast.config import Experiment
from colorfast.evals import benchmarks
from colorfast.evals.scoring import reply_cap
from colorfast.io.validation import check_known
from colorfast.runs.plan import CHARACTERS_PER_TOKEN, Cost, Plan, add_up
from colorfast.training.schedule import heldout
from colorfast.types import ColorfastError, Message, Slot

UTILIZATION = 0.4
"""Share of its peak operations that a card reaches in long passes, and of its bandwidth in
decoding."""
LAUNCH = 0.025
"""Least seconds for one token of a batch: some thirty layers are launched one after another."""


@dataclass(frozen=True)
class Card:
    """From the maker's data sheet: dense bf16 operations per second, bytes per second from memory,
    bytes of memory."""

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
class _Model:
    """A model of so many parameters on a card."""

    card: Card
    parameters: float

    def pass_seconds(self, tokens: float, operations: int = 2) -> float:
        """Seconds of passes over tokens, at so many operations per parameter: 2 forward, 4 more
        backward."""
        return operations * self.parameters * tokens / (UTILIZATION * self.card.operations)

    def decoding_seconds(self, replies: float, length: int, batch: int) -> float:
        """Seconds of sampling replies of `length` tokens. Every token of a batch reads all
        weights."""
        reading = 2 * self.parameters / (UTILIZATION * self.card.bandwidth)
        token = max(LAUNCH, reading, self.pass_seconds(batch))
        return replies / batch * length * token


def estimate(experiment: Experiment, name: str) -> Plan:
    """The plan for the card `name`, with every reply as long as it may be. The model is not loaded:
    its size is read from its name.

    Raises ColorfastError for an unknown card, a name without a size, and a model that does not fit.
    """
    check_known("card", [name], CARDS)
    card, training, evaluation = CARDS[name], experiment.training, experiment.evaluation
    model, lora = _Model(card, _parameters(experiment.model)), training.adapter == "lora"
    # bf16 weights; or fp32 weights with gradients and the two moments of Adam
    memory = model.parameters * (2 if lora else 16)
    if memory > card.memory:
        raise ColorfastError(
            f"{experiment.model}: {memory / 1e9:.0f} GB of weights and optimizer do not fit the"
            f' {card.memory / 1e9:.0f} GB of "{name}"; set adapter = "lora", or share it between'
            " cards (docs/many-gpus.md)"
        )

    def cost(slots: Sequence[Slot]) -> Cost:
        completions = len(slots) * training.group_size
        batch = training.group_size * training.prompts_per_step
        prompt_tokens = sum(_tokens(slot.task.messages) for slot in slots)
        tokens = completions * training.max_tokens
        seconds = model.decoding_seconds(completions, training.max_tokens, batch)
        seconds += model.pass_seconds(prompt_tokens)
        seconds += model.pass_seconds(prompt_tokens + tokens, operations=4 if lora else 6)
        return prompt_tokens, tokens, seconds

    held, samples = heldout(experiment), evaluation.samples
    prompt_tokens = samples * sum(_tokens(scenario.messages) for scenario in held)
    heldout_seconds = model.pass_seconds(prompt_tokens) + model.decoding_seconds(
        len(held) * samples, evaluation.max_tokens, evaluation.batch_size
    )
    benchmark_seconds = sum(_benchmark(model, experiment, b) for b in evaluation.benchmarks)
    plan = add_up(experiment, cost, heldout_seconds, benchmark_seconds, training.max_tokens)
    return replace(plan, memory=int(memory))


def _parameters(model: str) -> float:
    """The number of parameters that a name states, as 135M or 0.5b."""
    name = model.rpartition("/")[2]
    size = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", name, re.IGNORECASE)
    if not size:
        raise ColorfastError(
            f"{model}: its name says no size as 7B or 135M does; --model NAME-7B plans for one that"
            " does"
        )
    return float(size[1]) * (1e9 if size[2].lower() == "b" else 1e6)


def _tokens(messages: Sequence[Message]) -> int:
    return sum(len(m.content) for m in messages) // CHARACTERS_PER_TOKEN


def _benchmark(model: _Model, experiment: Experiment, name: str) -> float:
    """Seconds of one benchmark: its prompts, with their choices or the replies to them."""
    benchmark, evaluation = benchmarks.get(name), experiment.evaluation
    items = benchmarks.chosen(benchmark, evaluation.items)
    tokens = sum(_tokens(item.messages) for item in items)
    tokens += sum(sum(map(len, item.choices)) // CHARACTERS_PER_TOKEN for item in items)
    seconds = model.pass_seconds(tokens)
    if benchmark.kind == "generated":
        length = reply_cap(benchmark, evaluation)
        seconds += model.decoding_seconds(len(items), length, evaluation.batch_size)
    return seconds
