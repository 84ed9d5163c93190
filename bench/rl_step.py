"""Time of one RL step: this engine against plain TRL, alternating in one run on the same
prompts."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from datasets import Dataset
from output import save
from rich.console import Console
from rich.table import Table
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import GRPOTrainer

from colorfast.config import Arm
from colorfast.models.local import load_policy
from colorfast.runs import experiment
from colorfast.training.engines.recorder import Recorder
from colorfast.training.engines.trl import config, make_trainer, rows
from colorfast.training.schedule import schedule

STEPS, ROUNDS = 2, 2
SIZE = {
    "prompts_per_step": 6,
    "group_size": 8,
    "max_tokens": 48,
    "demonstrations": 0,
    "learning_rate": 1e-6,
}


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ends.append(time.perf_counter())


def timed(ours: bool, folder: Path, precision: str = "fp32") -> tuple[float, Recorder]:
    """Seconds of the last step of full fine-tuning on half scenarios, half standard tasks (48
    sampled replies of at most 48 tokens), the first being left out, which makes the optimizer's
    state; and the record of what was computed."""
    quick = experiment.load("quick")
    training = quick.training.model_copy(
        update={"steps": STEPS, "adapter": "full", "precision": precision, **SIZE}
    )
    loaded = quick.model_copy(update={"training": training})
    policy, slots = load_policy(loaded.model), schedule(loaded, Arm(dose=0.5), 0)
    recorder, clock = Recorder(folder, policy, slots, training, 0), Clock()
    if ours:
        trainer: GRPOTrainer = make_trainer(recorder, folder, [clock])
    else:
        groups = {
            "per_device_train_batch_size": training.group_size,
            "gradient_accumulation_steps": training.prompts_per_step,
        }
        trainer = GRPOTrainer(
            model=policy.model,
            reward_funcs=recorder.reward,
            args=replace(
                config(training, 0, folder),
                **groups,
                bf16=precision == "bf16",
                steps_per_generation=training.prompts_per_step,
                generation_batch_size=None,
            ),
            train_dataset=Dataset.from_list(rows(slots)),
            processing_class=policy.tokenizer,
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
    trainer.args.save_strategy = "no"
    trainer.train()
    return clock.ends[-1] - clock.ends[-2], recorder


def compared(what: str, times: Mapping[str, Sequence[float]], precision: str) -> float:
    """Print the median seconds of two ways to take a step; the first's over the second's."""
    first, second = middle = [statistics.median(seconds) for seconds in times.values()]
    table = Table(
        what, "seconds a step", title=f"RL step, {torch.get_num_threads()} threads, {precision}"
    )
    for name, value in zip(times, middle, strict=True):
        table.add_row(name, f"{value:.1f}")
    Console().print(table, f"ratio {first / second:.2f}")
    return first / second


def save_with_threads(name: str, results: Mapping[str, Any]) -> None:
    """Write `out/NAME.json` with the number of threads."""
    save(name, {"threads": torch.get_num_threads(), **results})


def main() -> None:
    precisions = sys.argv[1:] or ["fp32", "bf16"]
    results = {}
    for precision in precisions:
        times: dict[str, list[float]] = {"plain TRL": [], "colorfast": []}
        for _ in range(ROUNDS):
            for name, seconds in times.items():
                with tempfile.TemporaryDirectory() as folder:
                    seconds.append(timed(name == "colorfast", Path(folder), precision)[0])
        results[precision] = {"seconds": times, "ratio": compared("engine", times, precision)}
    save_with_threads("rl_step", results)


if __name__ == "__main__":
    sys.exit(main())
