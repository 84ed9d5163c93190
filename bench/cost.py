"""Seconds of a training step against its tokens, from one thousand to fifty thousand in one run.
The cost of a token should not rise."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from output import OUT, save
from rich.console import Console
from rich.table import Table

from colorfast.config import Arm
from colorfast.io.console import progress
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.models.sampling import uniforms
from colorfast.runs import experiment
from colorfast.training.engines.recorder import Recorder
from colorfast.training.engines.trl import make_trainer
from colorfast.training.schedule import schedule
from colorfast.types import Slot

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
    rows = _rows(policy, slots)
    trainer.current_gradient_accumulation_steps = 1
    prompt_tokens = rows["prompt_mask"].sum(1).tolist()
    for prompts in (PROMPTS[0], *PROMPTS):  # the first warms up
        n = prompts * GROUP
        trainer._prepare_inputs = lambda _, n=n: {key: value[:n] for key, value in rows.items()}
        start = time.perf_counter()
        trainer.training_step(trainer.model, None)
        yield sum(prompt_tokens[:n:GROUP]) + n * LENGTH, time.perf_counter() - start


def _rows(policy: LocalPolicy, slots: Sequence[Slot]) -> dict[str, torch.Tensor]:
    """A batch as TRL makes it: padded prompts, random replies of full length, and advantages."""
    prompts = []
    for slot in slots:
        prompts += [policy.encode(slot.task.messages)] * GROUP
    replies = []
    for i in range(len(prompts)):
        draws = uniforms(f"cost-{i}", LENGTH)
        replies.append([int(u * policy.tokenizer.vocab_size) for u in draws])
    longest = max(map(len, prompts))
    padding = [longest - len(prompt) for prompt in prompts]
    ids = [[0] * n + prompt for n, prompt in zip(padding, prompts, strict=True)]
    masks = [[0] * n + [1] * (longest - n) for n in padding]
    return {
        "prompt_ids": torch.tensor(ids),
        "prompt_mask": torch.tensor(masks),
        "completion_ids": torch.tensor(replies),
        "completion_mask": torch.ones(len(prompts), LENGTH, dtype=torch.long),
        "advantages": torch.tensor([1.0, -1.0] * (len(prompts) // 2)),
    }


def draw(tokens: np.ndarray, seconds: np.ndarray) -> None:
    """The curve beside a straight line, as `out/cost.svg`."""
    figure, axes = plt.subplots(figsize=(5, 3.2))
    axes.loglog(tokens, seconds, "o-", color="#0b6e8a", label="measured")
    linear = seconds[0] * tokens / tokens[0]
    axes.loglog(tokens, linear, "--", color="#888888", label="linear from the first")
    axes.set(xlabel="tokens per step", ylabel="seconds of training")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(OUT / "cost.svg")


def main() -> None:
    measured = []
    with (
        tempfile.TemporaryDirectory() as folder,
        progress("training steps", len(PROMPTS) + 1) as advance,
    ):
        for step in steps(Path(folder)):
            measured.append(step)
            advance(note=f"{step[0]:,} tokens")
    tokens, seconds = np.array(measured[1:], dtype=float).T
    power, _ = np.polyfit(np.log(tokens), np.log(seconds), 1)
    title = f"A training step (LoRA, {torch.get_num_threads()} threads)"
    table = Table("tokens", "seconds", "ms per token", title=title)
    for t, s in zip(tokens, seconds, strict=True):
        table.add_row(f"{t:,.0f}", f"{s:.2f}", f"{1000 * s / t:.2f}")
    Console().print(table, f"seconds grow with tokens to the power {power:.3f}")
    save("cost", {"tokens": tokens.tolist(), "seconds": seconds.tolist(), "power": power})
    draw(tokens, seconds)


if __name__ == "__main__":
    sys.exit(main())
