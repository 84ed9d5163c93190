"""What a run is about to do, in a few lines that are printed before it begins."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from colorfast.config import Experiment
from colorfast.evals.evaluate import short_benchmarks
from colorfast.runs import cell_cache
from colorfast.runs.layout import UNTRAINED, Cell, is_trained
from colorfast.runs.status import statuses
from colorfast.training.schedule import heldout

FEW_ARMS = 8
"""As many arms are named one by one."""


def outline(run: Path, experiment: Experiment, chosen: Sequence[Cell], jobs: int) -> list[str]:
    """One line each: the experiment, model and processor, training, scoring, what is there already,
    the folder, and when the time left will be known. `chosen`: the cells asked for."""
    about = f": {experiment.about}" if experiment.about else ""
    return [
        f"{experiment.name}{about}",
        f"  model: {experiment.model}, {_processor(experiment)}",
        f"  trains: {_training(experiment, chosen, jobs)}",
        f"  scores: {_scoring(experiment)}",
        *(f"  there already: {line}" for line in _done(run, experiment, chosen)),
        f"  folder: {run}; stopped at any point, the same command continues it",
        f"  time: the time left follows after the first steps; at any time: colorfast status {run}",
    ]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _processor(experiment: Experiment) -> str:
    import torch

    from colorfast.models.precision import precision

    cores = _count(os.cpu_count() or 1, "CPU core")
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else cores
    return f"trained in {precision(experiment.training.precision)} on {where}"


def _training(experiment: Experiment, chosen: Sequence[Cell], jobs: int) -> str:
    training = experiment.training
    arms = list(dict.fromkeys(str(cell.arm) for cell in chosen))
    names = f" ({', '.join(arms)})" if len(arms) <= FEW_ARMS else ""
    seeds = _count(len({cell.seed for cell in chosen}), "seed")
    cells = f"{_count(len(arms), 'arm')}{names} x {seeds} = {_count(len(chosen), 'cell')}"
    prompts = _count(training.prompts_per_step, "prompt")
    replies = _count(training.group_size, "reply", "replies")
    weights = "every weight" if training.adapter == "full" else f"LoRA of rank {training.lora_rank}"
    at_once = f", {jobs} cells at once" if jobs > 1 else ""
    each = f"{_count(training.steps, 'step')} x {prompts} x {replies}"
    return f"{cells}, each {each}, {weights}{at_once}"


def _scoring(experiment: Experiment) -> str:
    evaluation = experiment.evaluation
    replies = _count(evaluation.samples, "reply", "replies")
    held = f"{_count(len(heldout(experiment)), 'held-out scenario')} x {replies}"
    items = f"{'up to ' if short_benchmarks(evaluation) else ''}{_count(evaluation.items, 'item')}"
    evals = f" and {_count(len(evaluation.benchmarks), 'eval')} of {items}"
    all_of = f"{held}{evals if evaluation.benchmarks else ''}"
    return f"each cell on {all_of}; the untrained model on the scenarios alone"


def _done(run: Path, experiment: Experiment, chosen: Sequence[Cell]) -> Iterator[str]:
    states = statuses(run, experiment, [UNTRAINED, *chosen])
    names = [f"{s.cell.name} {s.words}" for s in states if s.state != "waiting"]
    if names:
        yield ", ".join(names)
    shared = [
        c.name for c in chosen if not is_trained(run, c) and cell_cache.is_shared(run / c.name)
    ]
    if shared:
        yield f"trained by another experiment in {run.parent}, and not again: {', '.join(shared)}"
