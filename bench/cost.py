"""What a training step costs against its tokens, from one thousand to fifty thousand in one run: a
token should not get dearer."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from colorfast.config import Arm
from colorfast.io.console import progress
from colorfast.models.local import load_policy
from colorfast.models.sampling import uniforms
from colorfast.runs import experiment
from colorfast.training.engines.recorder import Recorder
from colorfast.training.engines.trl import make_trainer
from colorfast.training.schedule import schedule

PROMPTS = (4, 8, 16, 32, 64, 128, 200)
GROUP, LENGTH = 4, 48


def steps(folder: Path) -> Iterator[tuple[int, float]]:
    """Tokens (prompts once a group, and replies), and the seconds of one forward and backward pass
    over them. Every reply has an advantage and its full length, so that nothing is skipped."""
    quick = experiment.load("quick")
    size = {
        "steps": 1,
        "prompts_per_step": max(PROMPTS),
        "group_size": GROUP,
        "max_tokens": LENGTH,
        "demonstrations": 0,
    }
    training = quick.training.model_copy(update=size)
    loaded = quick.model_copy(update={"training": training})
    policy, slots = load_policy(loaded.model), schedule(loaded, Arm(dose=0.5), 0)
    trainer = make_trainer(Recorder(folder, policy, slots, training, 0), folder, [])
    asked = [policy.encode(s.task.messages) for s in slots for _ in range(GROUP)]
    said = [
        [int(u * policy.tokenizer.vocab_size) for u in uniforms(f"cost-{i}", LENGTH)]
        for i in range(len(asked))
    ]
    longest = max(map(len, asked))
    rows = {
        "prompt_ids": torch.tensor([[0] * (longest - len(p)) + p for p in asked]),
        "prompt_mask": torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in asked]),
        "completion_ids": torch.tensor(said),
        "completion_mask": torch.ones(len(asked), LENGTH, dtype=torch.long),
        "advantages": torch.tensor([1.0, -1.0] * (len(asked) // 2)),
    }
    trainer.current_gradient_accumulation_steps = 1
    for prompts in (PROMPTS[0], *PROMPTS):  # the first is for warming up
        n = prompts * GROUP
        trainer._prepare_inputs = lambda _, n=n: {key: value[:n] for key, value in rows.items()}
        start = time.perf_counter()
        trainer.training_step(trainer.model, None)
        yield sum(len(p) for p in asked[:n:GROUP]) + n * LENGTH, time.perf_counter() - start


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        progress("training steps", len(PROMPTS) + 1) as advance,
    ):
        found = []
        for step in steps(Path(folder)):
            found.append(step)
            advance(note=f"{step[0]:,} tokens")
    found = found[1:]
    tokens, seconds = (np.array(column, dtype=float) for column in zip(*found, strict=True))
    power, _ = np.polyfit(np.log(tokens), np.log(seconds), 1)
    table = Table(
        "tokens",
        "seconds",
        "ms a token",
        title=f"A training step (LoRA, {torch.get_num_threads()} threads)",
    )
    for t, s in found:
        table.add_row(f"{t:,}", f"{s:.2f}", f"{1000 * s / t:.2f}")
    Console().print(table, f"seconds grow with tokens to the power {power:.3f}")
    out = Path(__file__).parent / "out"
    out.mkdir(exist_ok=True)
    (out / "cost.json").write_text(
        json.dumps(
            {"tokens": tokens.tolist(), "seconds": seconds.tolist(), "power": power}, indent=1
        )
        + "\n"
    )
    figure, axes = plt.subplots(figsize=(5, 3.2))
    axes.loglog(tokens, seconds, "o-", color="#0b6e8a", label="measured")
    axes.loglog(
        tokens,
        seconds[0] * tokens / tokens[0],
        "--",
        color="#888888",
        label="linear from the first",
    )
    axes.set(xlabel="tokens a step", ylabel="seconds of training")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(out / "cost.svg")


if __name__ == "__main__":
    sys.exit(main())
