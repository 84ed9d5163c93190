"""Supervised fine-tuning on chat rows, in their order, by TRL's SFTTrainer; resumable, with
snapshots along the way."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from colorfast.io.console import progress
from colorfast.io.storage import digest, write_json
from colorfast.models import Conversation
from colorfast.models.local import LocalPolicy
from colorfast.models.onednn import products
from colorfast.models.precision import precision
from colorfast.training.engines.snapshots import (
    Snapshots,
    Start,
    Whole,
    last_whole_checkpoint,
    step_of,
)
from colorfast.training.engines.trainers import (
    Progress,
    keep_small_steps,
    lora,
    quiet,
    settings,
)
from colorfast.training.tuning import Tuning
from colorfast.types import ColorfastError

SAVE_EVERY = 20
"""Steps between checkpoints to continue from."""
IGNORED = -100
"""The label of a token that is read and not trained on."""
LEDGER = "ledger.json"


def encoded(policy: LocalPolicy, row: Conversation, most: int) -> dict[str, list[int]]:
    """Token ids of a row and its labels, cut at `most` tokens. The reply and its end are trained
    on, the prompt is not."""
    prompt = policy.encode(row[:-1])
    reply = [*policy.spoken(row[-1].content), policy.tokenizer.eos_token_id]
    labels = [IGNORED] * len(prompt) + reply
    return {"input_ids": [*prompt, *reply][:most], "labels": labels[:most]}


class RowTrainer(SFTTrainer):
    """SFTTrainer that checks that it trains on its rows in order."""

    tuning: Tuning
    rows: Sequence[dict[str, list[int]]]

    def training_step(
        self, model: Any, inputs: Any, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """See `SFTTrainer`. Raises ColorfastError for other rows than the step's."""
        step, size = self.state.global_step, self.tuning.batch
        pairs = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        seen = [ids[mask.bool()].tolist() for ids, mask in pairs]
        if seen != [row["input_ids"] for row in self.rows[step * size : (step + 1) * size]]:
            raise ColorfastError(
                f"step {step}: the trainer saw other rows than it was given; delete the folder"
            )
        with products(precision(self.tuning.precision)):
            return super().training_step(model, inputs, num_items_in_batch)


def config(tuning: Tuning, seed: int, folder: Path) -> SFTConfig:
    """TRL's settings for ours."""
    return SFTConfig(
        **settings(folder, seed, tuning.precision),
        max_steps=tuning.steps[-1],
        per_device_train_batch_size=tuning.batch,
        train_sampling_strategy="sequential",
        learning_rate=tuning.rate,
        lr_scheduler_type="constant",  # so that a longer training begins as a shorter one does
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        save_steps=SAVE_EVERY,
        report_to=[],
    )


def tune(
    start: Start, rows: Sequence[Conversation], tuning: Tuning, seed: int, folder: Path
) -> None:
    """Train on the rows, `tuning.batch` a step, and keep a snapshot at each of `tuning.steps`.
    `ledger.json` marks the end.

    `rows`: as many as the last step needs. After an interruption the same call continues and ends
    with the same weights.
    """
    if (folder / LEDGER).is_file():
        return
    torch.manual_seed(seed)
    policy, work = start(), folder / "training"
    policy.model.train()
    keep_small_steps(policy, tuning.rank, tuning.precision)
    made = [encoded(policy, row, tuning.max_tokens) for row in rows]
    checkpoint = last_whole_checkpoint(work)
    title = f"train {folder.parent.name} on {folder.name}"
    with progress(title, tuning.steps[-1], step_of(checkpoint)) as advance, quiet():
        trainer = RowTrainer(
            model=policy.model,
            args=config(tuning, seed, work),
            train_dataset=Dataset.from_list(made),
            processing_class=policy.tokenizer,
            callbacks=[Snapshots(folder, tuning.steps), Whole(), Progress(advance)],
            peft_config=lora(tuning.rank),
        )
        trainer.tuning, trainer.rows = tuning, made
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    write_json(folder / LEDGER, _ledger(trainer, rows))
    shutil.rmtree(work, ignore_errors=True)


def _ledger(trainer: RowTrainer, rows: Sequence[Conversation]) -> dict[str, Any]:
    """The cost of the training: FLOPs are 6 for each parameter and token."""
    model, made = trainer.model, trainer.rows
    tokens = sum(len(row["input_ids"]) for row in made)
    labels = list(itertools.chain.from_iterable(row["labels"] for row in made))
    end = trainer.processing_class.eos_token_id
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "steps": trainer.state.global_step,
        "rows": len(rows),
        "rows_sha256": digest([[m.model_dump() for m in row] for row in rows]),
        "tokens": tokens,
        "trained_tokens": len(labels) - labels.count(IGNORED),
        "cut": sum(row["labels"][-1] != end for row in made),
        "parameters": model.num_parameters(),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "flops": 6 * model.num_parameters() * tokens,
        "losses": [round(loss, 4) for loss in losses],
    }
