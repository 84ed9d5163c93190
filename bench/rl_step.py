"""Time of one RL step: this engine against plain TRL, alternating in one run on the same prompts."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from transformers.trainer_callback import PrinterCallback
from trl import GRPOTrainer

from colorfast import experiment
from colorfast.engines.trl import Recorder, config, make_trainer, rows
from colorfast.policies.local import load_policy
from colorfast.schedule import schedule
from colorfast.types import Arm

STEPS, ROUNDS = 1, 3
SIZE = {"prompts_per_step": 6, "group_size": 8, "max_tokens": 48, "shown": 0, "warmup_steps": 0}


def timed(ours: bool, folder: Path) -> tuple[float, Recorder]:
    """Seconds a step of full fine-tuning on half scenarios, half standard tasks (48 sampled replies of at most 48 tokens), and the
    record of what was computed."""
    quick = experiment.load("quick")
    training = quick.training.model_copy(update={"steps": STEPS, "method": "full", **SIZE})
    loaded = quick.model_copy(update={"training": training})
    policy, slots = load_policy(loaded.model), schedule(loaded, Arm(dose=0.5), 0)
    recorder = Recorder(folder, policy, slots, training, 0)
    if ours:
        trainer: GRPOTrainer = make_trainer(recorder, folder, [])
    else:
        trainer = GRPOTrainer(
            model=policy.model,
            reward_funcs=recorder.reward,
            args=config(training, 0, folder),
            train_dataset=Dataset.from_list(rows(slots)),
            processing_class=policy.tokenizer,
        )
        trainer.remove_callback(PrinterCallback)
    trainer.args.save_strategy = "no"
    start = time.perf_counter()
    trainer.train()
    return (time.perf_counter() - start) / STEPS, recorder


def main() -> None:
    times: dict[str, list[float]] = {"plain TRL": [], "colorfast": []}
    for _ in range(ROUNDS):
        for name, seconds in times.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds.append(timed(name == "colorfast", Path(folder))[0])
    middle = {name: statistics.median(seconds) for name, seconds in times.items()}
    ratio = middle["plain TRL"] / middle["colorfast"]
    table = Table("engine", "seconds a step", title=f"RL step, {torch.get_num_threads()} threads, fp32")
    for name, seconds in middle.items():
        table.add_row(name, f"{seconds:.1f}")
    Console().print(table, f"ratio {ratio:.2f}")
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    (out / "rl_step.json").write_text(json.dumps({"seconds": times, "ratio": ratio, "threads": torch.get_num_threads()}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
