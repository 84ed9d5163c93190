"""The lines that a run prints before it begins: what it will do, and where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from colorfast.config import Experiment
from colorfast.evals.evaluate import short_benchmarks
from colorfast.runs import cell_cache
from colorfast.runs.layout import UNTRAINED, Cell, is_trained
from colorfast.runs.status import statuses
from colorfast.training.schedule import heldout

NAMED_ARMS = 8
"""Up to this many arms are named."""


def outline(run: Path, experiment: Experiment, chosen: Sequence[Cell], jobs: int) -> list[str]:
    """One line each: the experiment, model and processor, training, scoring, finished parts, the
    folder, and how to see the time left. `chosen`: the cells of this run."""
    about = f": {experiment.about}" if experiment.about else ""
    return [
        f"{experiment.name}{about}",
        f"  model: {experiment.model}, {_processor(experiment)}",
        f"  trains: {_training(experiment, chosen, jobs)}",
        f"  scores: {_scoring(experiment)}",
        *(f"  there already: {line}" for line in _finished(run, experiment, chosen)),
        f"  folder: {run}; stopped at any point, the same command continues it",
        f"  time: the time left follows after the first steps; at any time: colorfast status {run}",
    ]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _processor(experiment: Experiment) -> str:
    import torch

    from colorfast.models.precision import precision

    device = _count(os.cpu_count() or 1, "CPU core")
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    return f"trained in {precision(experiment.training.precision)} on {device}"


def _training(experiment: Experiment, chosen: Sequence[Cell], jobs: int) -> str:
    training = experiment.training
    arms = list(dict.fromkeys(cell.arm for cell in chosen))
    names = f" ({', '.join(arms)})" if len(arms) <= NAMED_ARMS else ""
    seeds = _count(len({cell.seed for cell in chosen}), "seed")
    prompts = _count(training.prompts_per_step, "prompt")
    replies = _count(training.group_size, "reply", "replies")
    weights = "every weight" if training.adapter == "full" else f"LoRA of rank {training.lora_rank}"
    at_once = f", {jobs} cells at once" if jobs > 1 else ""
    return (
        f"{_count(len(arms), 'arm')}{names} x {seeds} = {_count(len(chosen), 'cell')}, each"
        f" {_count(training.steps, 'step')} x {prompts} x {replies}, {weights}{at_once}"
    )


def _scoring(experiment: Experiment) -> str:
    evaluation = experiment.evaluation
    held = _count(len(heldout(experiment)), "held-out scenario")
    text = f"each cell on {held} x {_count(evaluation.samples, 'reply', 'replies')}"
    if evaluation.benchmarks:
        up_to = "up to " if short_benchmarks(evaluation) else ""
        evals = _count(len(evaluation.benchmarks), "eval")
        text += f" and {evals} of {up_to}{_count(evaluation.items, 'item')}"
    return f"{text}; the untrained model on the scenarios alone"


def _finished(run: Path, experiment: Experiment, chosen: Sequence[Cell]) -> list[str]:
    states = statuses(run, experiment, [UNTRAINED, *chosen])
    begun = ", ".join(f"{s.cell.title} {s.words}" for s in states if s.state != "waiting")
    untrained = [cell for cell in chosen if not is_trained(run, cell)]
    shared = ", ".join(c.name for c in untrained if cell_cache.is_shared(run / c.name))
    if shared:
        shared = f"trained by another experiment in {run.parent}, and not again: {shared}"
    return [line for line in (begun, shared) if line]
