"""What an experiment will take, before it runs: slots, tokens, memory, judge calls, and time from a
short probe."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from colorfast.config import Arm, Endpoint, Experiment, Grading
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import score_heldout
from colorfast.evals.scoring import score_benchmark
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.models.precision import Rates, rates
from colorfast.models.resolve import resolve
from colorfast.training.schedule import heldout, schedule
from colorfast.types import TRAIT_SOURCE, ObjectiveName, Reply, Slot, Task

REPLIES = 64
"""Most replies that the probe samples in a training step and to held-out scenarios: as many as
decode in one batch."""
FEW_ITEMS, MORE_ITEMS = 2, 8
"""Items of each benchmark that the probe runs, twice, to separate fixed time from time per item."""
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MARK = 14
"""Tokens of a judge's mark for one criterion in the JSON of its answer."""


@dataclass(frozen=True)
class ArmPlan:
    """One arm under one seed. `slots`: by source. Tokens of prompts and replies, and seconds of
    training and evaluation."""

    slots: dict[str, int]
    completions: int
    prompt_tokens: int
    completion_tokens: int
    training_seconds: float
    evaluation_seconds: float


@dataclass(frozen=True)
class Plan:
    """A whole experiment. `memory`: peak bytes of this process (of the GPU if there is one) in the
    probe. `judges`: calls, tokens and cost by use. `rates`: of products on this machine; None for
    another one."""

    steps: int
    seeds: int
    arms: dict[str, ArmPlan]
    seconds: float
    memory: int
    judges: dict[str, dict[str, float]]
    rates: Rates | None = None


Cost = tuple[int, float, float]
"""Prompt tokens, completion tokens and seconds of the training on some slots."""


def add_up(
    experiment: Experiment,
    cost: Callable[[Sequence[Slot]], Cost],
    heldout_seconds: float,
    benchmark_seconds: float,
    reply_tokens: float,
) -> Plan:
    """The plan of an experiment from the costs of its parts, without memory. `cost`: of the slots
    of an arm. Seconds are those of one cell. `reply_tokens`: of a reply to a trait scenario in
    training."""
    training, evaluation, seeds = experiment.training, experiment.evaluation, len(experiment.seeds)
    arms: dict[str, ArmPlan] = {}
    rewarded: list[Task] = []
    total = heldout_seconds  # of the untrained model
    for name, arm in experiment.arms.items():
        slots = schedule(experiment, arm, experiment.seeds[0])
        prompt_tokens, completion_tokens, seconds = cost(slots)
        arms[name] = ArmPlan(
            slots=dict(Counter(slot.task.source for slot in slots)),
            completions=len(slots) * training.group_size,
            prompt_tokens=prompt_tokens,
            completion_tokens=round(completion_tokens),
            training_seconds=seconds,
            evaluation_seconds=heldout_seconds + benchmark_seconds,
        )
        total += (seconds + heldout_seconds + benchmark_seconds) * seeds
        rewarded += [slot.task for slot in slots if slot.task.source == TRAIT_SOURCE]
    judges: dict[str, dict[str, float]] = {}
    if training.grading.judge:
        times = training.group_size * seeds
        judges["reward"] = _judging(training.grading.judge, rewarded, times, reply_tokens)
    if evaluation.grading.judge:
        times, tokens = evaluation.samples * (seeds * len(arms) + 1), evaluation.max_tokens / 2
        held = heldout(experiment)
        judges["evaluation"] = _judging(evaluation.grading.judge, held, times, tokens)
    return Plan(training.steps, seeds, arms, total, 0, judges)


def _judging(
    judge: Endpoint, tasks: Sequence[Task], times: int, reply_tokens: float
) -> dict[str, float]:
    """Calls, tokens and cost of judging so many replies to each task."""
    from colorfast.rewards.judge import request

    characters = marks = 0
    for task in tasks:
        characters += sum(len(message["content"]) for message in request(Reply(""), task))
        marks += len(task.rubric)
    prompt = int(times * (characters / CHARACTERS_PER_TOKEN + len(tasks) * reply_tokens))
    completion = times * marks * TOKENS_PER_MARK
    return {
        "calls": times * len(tasks),
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "cost": judge.cost(prompt, completion),
    }


def _nothing(*_: Any, **__: Any) -> None:
    pass


def plan(experiment: Experiment, advance: Callable[..., None] = _nothing) -> Plan:
    """What `experiment.run` would take on this machine. Calls `advance` three times. Writes no
    file that stays."""
    measured = rates(experiment.training.precision, resolve(experiment.model))
    training = experiment.training.model_copy(update={"precision": measured.choice})
    experiment = experiment.model_copy(update={"training": training})
    policy = load_policy(experiment.model, experiment.evaluation.batch_size)
    advance()
    heldout_seconds = _probe_heldout(policy, experiment)
    benchmark_seconds = _probe_benchmarks(policy, experiment)
    advance()
    with tempfile.TemporaryDirectory() as folder:
        probed = _probe_training(policy, experiment, Path(folder))
    advance()

    def cost(slots: Sequence[Slot]) -> Cost:
        prompt_tokens, completion_tokens, seconds = 0, 0.0, 0.0
        for slot in slots:
            prompt_tokens += len(policy.encode(slot.task.messages))
            completion_tokens += probed[_objective(slot)].completion_tokens
            seconds += probed[_objective(slot)].seconds
        return prompt_tokens, completion_tokens, seconds

    tokens = [probe.completion_tokens for objective, probe in probed.items() if objective]
    reply_tokens = max(tokens, default=0.0) / training.group_size
    found = add_up(experiment, cost, heldout_seconds, benchmark_seconds, reply_tokens)
    return replace(found, memory=_peak_memory(), rates=measured)


def _objective(slot: Slot) -> ObjectiveName | None:
    """The objective of a trait slot; None for a standard task."""
    return slot.objective.name if slot.task.source == TRAIT_SOURCE else None


@dataclass(frozen=True)
class _SlotCost:
    """Completion tokens and seconds of training on one slot."""

    completion_tokens: float
    seconds: float


class _StepClock(TrainerCallback):
    """The times at which optimizer steps ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())


def _probe_slots(experiment: Experiment, prompts: int) -> list[Slot]:
    """Standard tasks for three steps (the first pays for one-time set-up), then trait scenarios for
    two steps with each objective of an arm."""
    training = experiment.training.model_copy(update={"steps": 3, "prompts_per_step": prompts})
    short, seed = experiment.model_copy(update={"training": training}), experiment.seeds[0]
    slots = list(schedule(short, Arm(dose=0), seed))
    by_objective = {arm.objective: arm for arm in experiment.arms.values() if arm.dose}
    for arm in by_objective.values():
        dosed = schedule(short, arm.model_copy(update={"dose": 1.0}), seed)
        slots += dosed[: 2 * prompts]
    return [Slot(i, i // prompts, slot.task, slot.objective) for i, slot in enumerate(slots)]


def _probe_training(
    policy: LocalPolicy, experiment: Experiment, folder: Path
) -> dict[ObjectiveName | None, _SlotCost]:
    """What one slot takes, for standard tasks (None) and for trait scenarios by objective. Calls no
    judge."""
    from colorfast.training.engines.recorder import Recorder
    from colorfast.training.engines.trainers import quiet
    from colorfast.training.engines.trl import make_trainer

    training, clock = experiment.training, _StepClock()
    prompts = max(1, min(training.prompts_per_step, REPLIES // training.group_size))
    slots = _probe_slots(experiment, prompts)
    changes: dict[str, Any] = {
        "steps": len(slots) // prompts,
        "prompts_per_step": prompts,
        "save_every": 10**6,
    }
    if training.grading.judge:
        changes["grading"] = Grading(kind="code")
    with quiet():
        recorder = Recorder(folder, policy, slots, training.model_copy(update=changes), 0)
        make_trainer(recorder, folder / "training", [clock]).train()
    costs: dict[ObjectiveName | None, _SlotCost] = {}
    for step in range(1, len(clock.ends)):
        sources = recorder.metrics[step]["sources"].values()
        tokens = sum(source["completion_tokens"] for source in sources) / prompts
        seconds = (clock.ends[step] - clock.ends[step - 1]) / prompts
        costs[_objective(slots[step * prompts])] = _SlotCost(tokens, seconds)
    return costs


def _probe_heldout(policy: LocalPolicy, experiment: Experiment) -> float:
    """Seconds of the held-out scenarios of one cell."""
    scenarios, code = heldout(experiment), Grading(kind="code")
    once = experiment.evaluation.model_copy(update={"samples": 1, "grading": code})
    part = scenarios[:: max(1, len(scenarios) // REPLIES)][:REPLIES]
    seconds = _seconds(partial(score_heldout, policy, part, once, _nothing))
    return seconds / len(part) * len(scenarios) * experiment.evaluation.samples


def _probe_benchmarks(policy: LocalPolicy, experiment: Experiment) -> float:
    """Seconds of the benchmarks of one cell."""
    evaluation, total = experiment.evaluation, 0.0
    for name in evaluation.benchmarks:
        benchmark = benchmarks.get(name)
        size = len(benchmarks.chosen(benchmark, evaluation.items))
        few, more = min(size, FEW_ITEMS), min(size, MORE_ITEMS)
        seconds = {}
        for items in (few, more):
            part = evaluation.model_copy(update={"items": items})
            score = partial(score_benchmark, policy, benchmark, part, experiment.system, _nothing)
            seconds[items] = _seconds(score)
        per_item = max(0.0, seconds[more] - seconds[few]) / max(1, more - few)
        total += seconds[more] + per_item * (size - more)
    return total


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak_memory() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024  # Linux gives KiB
