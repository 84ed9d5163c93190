"""What an experiment will take, before it runs: slots, tokens, memory, judge calls, and time by a
short probe of the very same code."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from colorfast.config import Arm, Endpoint, Experiment, Grading, Training
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import score_heldout
from colorfast.evals.scoring import score_benchmark
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.models.precision import Rates, rates
from colorfast.models.resolve import resolve
from colorfast.training.schedule import heldout, schedule
from colorfast.types import TRAIT_SOURCE, ObjectiveName, Scenario, Slot, Task

REPLIES, FEW, ITEMS = 64, 2, 8
"""How many replies the probe samples in a training step and to held-out scenarios, at most: as many
as decode together; and how many items of each benchmark it asks, less and more, so that what does
not grow with them is told apart."""
CHARACTERS_A_TOKEN = 4
TOKENS_A_MARK = 14
"""What a judge's mark for one criterion takes in the answer's JSON."""


@dataclass(frozen=True)
class ArmPlan:
    """One arm under one seed. `slots` by source; tokens of prompts and replies; seconds of training
    and of evaluation."""

    slots: dict[str, int]
    completions: int
    prompt_tokens: int
    completion_tokens: int
    training_seconds: float
    evaluation_seconds: float


@dataclass(frozen=True)
class Plan:
    """A whole experiment. `memory`: peak bytes of this process (of the GPU where there is one)
    during the probe. `rates`: of products on this machine; None for one that is not here."""

    steps: int
    seeds: int
    arms: dict[str, ArmPlan]
    seconds: float
    memory: int
    judges: dict[str, dict[str, float]]
    rates: Rates | None = None


class _Clock(TrainerCallback):
    """When each optimizer step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ends.append(time.perf_counter())


def _probe_slots(experiment: Experiment, prompts: int) -> list[Slot]:
    """Standard tasks for three steps (the first pays for what is set up once), then trait scenarios
    for two by each objective of an arm."""
    training = experiment.training.model_copy(update={"steps": 3, "prompts_per_step": prompts})
    short = experiment.model_copy(update={"training": training})
    made = list(schedule(short, Arm(dose=0), experiment.seeds[0]))
    for arm in {arm.objective: arm for arm in experiment.arms.values() if arm.dose}.values():
        made += schedule(short, arm.model_copy(update={"dose": 1.0}), experiment.seeds[0])[
            : 2 * prompts
        ]
    return [Slot(i, i // prompts, slot.task, slot.objective) for i, slot in enumerate(made)]


def _way(slot: Slot) -> ObjectiveName | None:
    """The objective of a trait slot; None for a standard task."""
    return slot.objective.name if slot.task.source == TRAIT_SOURCE else None


def _probe_training(
    policy: LocalPolicy, experiment: Experiment, folder: Path
) -> dict[ObjectiveName | None, tuple[float, float]]:
    """Seconds and completion tokens of one slot, for standard tasks (None) and for trait scenarios
    by objective. Calls no judge."""
    from colorfast.training.engines.recorder import Recorder
    from colorfast.training.engines.trainers import quiet
    from colorfast.training.engines.trl import make_trainer

    prompts = max(
        1, min(experiment.training.prompts_per_step, REPLIES // experiment.training.group_size)
    )
    slots = _probe_slots(experiment, prompts)
    free = (
        Grading(kind="code")
        if experiment.training.grading.kind == "judge"
        else experiment.training.grading
    )
    update = {
        "steps": len(slots) // prompts,
        "prompts_per_step": prompts,
        "grading": free,
        "save_every": 10**6,
    }
    training: Training = experiment.training.model_copy(update=update)
    clock = _Clock()
    with quiet():
        recorder = Recorder(folder, policy, slots, training, 0)
        make_trainer(recorder, folder / "training", [clock]).train()
    found: dict[ObjectiveName | None, tuple[float, float]] = {}
    for step, (start, end) in enumerate(zip(clock.ends, clock.ends[1:], strict=False), 1):
        tokens = sum(
            source["completion_tokens"] for source in recorder.metrics[step]["sources"].values()
        )
        found[_way(slots[step * prompts])] = ((end - start) / prompts, tokens / prompts)
    return found


def _probe_evaluation(
    policy: LocalPolicy, experiment: Experiment, held: Sequence[Scenario]
) -> tuple[float, float]:
    """Seconds of the held-out scenarios of one arm, and of its benchmarks."""
    evaluation = experiment.evaluation
    few = evaluation.model_copy(
        update={"samples": 1, "items": ITEMS, "grading": Grading(kind="code")}
    )
    some = held[:: max(1, len(held) // REPLIES)][:REPLIES]
    reply = _seconds(lambda: score_heldout(policy, some, few, _nothing)) / len(some)
    asked = 0.0
    for name in evaluation.benchmarks:
        benchmark = benchmarks.get(name)
        n = len(benchmarks.chosen(benchmark, evaluation.items))
        less, more = min(n, FEW), min(n, ITEMS)
        took = {}
        for items in {less, more}:
            part = few.model_copy(update={"items": items})
            ask = partial(score_benchmark, policy, benchmark, part, experiment.system, _nothing)
            took[items] = _seconds(ask)
        asked += took[more] + max(0.0, took[more] - took[less]) / max(1, more - less) * (n - more)
    return reply * len(held) * evaluation.samples, asked


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _judged(
    endpoint: Endpoint, graded: Sequence[tuple[Task, int]], reply_tokens: float
) -> dict[str, float]:
    """Calls, tokens and cost of judging each task so many times."""
    from colorfast.rewards.judge import request
    from colorfast.types import Reply

    calls = sum(n for _, n in graded)
    asked = sum(
        n
        * (
            sum(len(m["content"]) for m in request(Reply(""), task)) / CHARACTERS_A_TOKEN
            + reply_tokens
        )
        for task, n in graded
    )
    answered = sum(n * TOKENS_A_MARK * len(task.rubric) for task, n in graded)
    cost = endpoint.cost(int(asked), answered)
    return {
        "calls": calls,
        "prompt_tokens": int(asked),
        "completion_tokens": answered,
        "cost": cost,
    }


def judges(
    experiment: Experiment, rewarded: Sequence[tuple[Task, int]], reply_tokens: float
) -> dict[str, dict[str, float]]:
    """What the judges of an experiment are asked, by use; `rewarded`: tasks, and how many replies
    to each are judged in training."""
    found, evaluation = {}, experiment.evaluation
    if experiment.training.grading.judge:
        found["reward"] = _judged(experiment.training.grading.judge, rewarded, reply_tokens)
    if evaluation.grading.judge:
        times = evaluation.samples * (len(experiment.seeds) * len(experiment.arms) + 1)
        found["evaluation"] = _judged(
            evaluation.grading.judge,
            [(s, times) for s in heldout(experiment)],
            evaluation.max_tokens / 2,
        )
    return found


def plan(experiment: Experiment, advance: Callable[..., None] = _nothing) -> Plan:
    """What `experiment.run` would take on this machine. Calls `advance` three times. Writes nothing
    that stays."""
    found = rates(experiment.training.precision, resolve(experiment.model))
    training, held = (
        experiment.training.model_copy(update={"precision": found.choice}),
        heldout(experiment),
    )
    experiment = experiment.model_copy(update={"training": training})
    policy = load_policy(experiment.model, experiment.evaluation.batch_size)
    advance()
    trait_seconds, benchmark_seconds = _probe_evaluation(policy, experiment, held)
    advance()
    rewarded: list[tuple[Task, int]] = []
    arms: dict[str, ArmPlan] = {}
    with tempfile.TemporaryDirectory() as folder:
        probed = _probe_training(policy, experiment, Path(folder))
    advance()
    for name, arm in experiment.arms.items():
        slots = schedule(experiment, arm, experiment.seeds[0])
        costs = [probed[_way(slot)] for slot in slots]
        arms[name] = ArmPlan(
            slots=dict(Counter(slot.task.source for slot in slots)),
            completions=len(slots) * training.group_size,
            prompt_tokens=sum(len(policy.encode(slot.task.messages)) for slot in slots),
            completion_tokens=round(sum(tokens for _, tokens in costs)),
            training_seconds=sum(seconds for seconds, _ in costs),
            evaluation_seconds=trait_seconds + benchmark_seconds,
        )
        rewarded += [
            (s.task, training.group_size * len(experiment.seeds))
            for s in slots
            if s.task.source == TRAIT_SOURCE
        ]
    each = sum(a.training_seconds + a.evaluation_seconds for a in arms.values())
    seconds = (
        each * len(experiment.seeds) + trait_seconds
    )  # the untrained model is scored on the held-out scenarios too
    asked = judges(
        experiment,
        rewarded,
        max((t for way, (_, t) in probed.items() if way), default=0.0) / training.group_size,
    )
    return Plan(training.steps, len(experiment.seeds), arms, seconds, _peak(), asked, found)


def plain(found: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    return asdict(found)
