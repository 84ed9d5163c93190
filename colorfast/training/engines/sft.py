"""Supervised fine-tuning on chat rows, in their order, by TRL's SFTTrainer; resumable, with
snapshots along the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from colorfast.config import Tuning
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
    quiet,
    step_of,
)
from colorfast.types import ColorfastError

SAVE_EVERY = 20
"""Steps between checkpoints to continue from."""
IGNORED = -100
"""The label of a token that is read and not trained on."""
LEDGER = "ledger.json"


def encoded(policy: LocalPolicy, row: Conversation, most: int) -> dict[str, list[int]]:
    """Token ids of a row and its labels: the reply and its end are trained on, what is asked is
    not. Cut at `most` tokens."""
    asked = policy.encode(row[:-1])
    said = [*policy.spoken(row[-1].content), policy.tokenizer.eos_token_id]
    return {"input_ids": [*asked, *said][:most], "labels": [*[IGNORED] * len(asked), *said][:most]}


class RowTrainer(SFTTrainer):
    """SFTTrainer that trains on the rows it was given, in their order, or not at all."""

    tuning: Tuning
    rows: Sequence[dict[str, list[int]]]

    def training_step(
        self, model: Any, inputs: Any, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        first, size = self.state.global_step * self.tuning.batch, self.tuning.batch
        held = [
            [t for t, m in zip(ids, mask, strict=True) if m]
            for ids, mask in zip(*_ids(inputs), strict=True)
        ]
        if held != [row["input_ids"] for row in self.rows[first : first + size]]:
            raise ColorfastError(
                f"step {self.state.global_step}: the trainer saw other rows than it was given;"
                " delete the folder"
            )
        with products(precision(self.tuning.precision)):
            return super().training_step(model, inputs, num_items_in_batch)


def _ids(inputs: Any) -> tuple[list[list[int]], list[list[int]]]:
    return inputs["input_ids"].tolist(), inputs["attention_mask"].tolist()


class _Bar(TrainerCallback):
    def __init__(self, advance: Callable[..., None]):
        self.advance = advance

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.advance()


def config(tuning: Tuning, seed: int, folder: Path) -> SFTConfig:
    """TRL's settings for ours."""
    gpu, bf16 = torch.cuda.is_available(), precision(tuning.precision) == "bf16"
    return SFTConfig(
        output_dir=str(folder),
        seed=seed,
        max_steps=tuning.steps[-1],
        per_device_train_batch_size=tuning.batch,
        train_sampling_strategy="sequential",
        learning_rate=tuning.rate,
        lr_scheduler_type="constant",  # so that a longer training begins as a shorter one does
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        bf16=gpu and bf16,
        use_cpu=not gpu,
        gradient_checkpointing=False,
        save_steps=SAVE_EVERY,
        save_total_limit=2,
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
    )


def tune(
    start: Start, rows: Sequence[Conversation], tuning: Tuning, seed: int, folder: Path
) -> None:
    """Train on the rows, `tuning.batch` a step, and keep a snapshot at each of `tuning.steps`;
    `ledger.json` is the done-mark.

    `rows`: as many as the last step needs. Called again after an interruption it continues and ends
    with the same weights.
    """
    if (folder / LEDGER).is_file():
        return
    torch.manual_seed(seed)
    policy, work = start(), folder / "training"
    policy.model.train()
    if tuning.rank is None or precision(tuning.precision) == "fp32":
        # on a GPU it was loaded in bf16, in which small steps would be rounded away
        policy.model.float()
    made = [encoded(policy, row, tuning.max_tokens) for row in rows]
    resume = last_whole_checkpoint(work)
    rank = tuning.rank or 0
    lora = (
        LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
        if rank
        else None
    )
    with (
        progress(
            f"train {folder.parent.name} on {folder.name}", tuning.steps[-1], step_of(resume)
        ) as advance,
        quiet(),
    ):
        trainer = RowTrainer(
            model=policy.model,
            args=config(tuning, seed, work),
            train_dataset=Dataset.from_list(made),
            processing_class=policy.tokenizer,
            callbacks=[Snapshots(folder, tuning.steps), Whole(), _Bar(advance)],
            peft_config=lora,
        )
        trainer.tuning, trainer.rows = tuning, made
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    write_json(folder / LEDGER, _ledger(trainer, rows))
    shutil.rmtree(work, ignore_errors=True)


def _ledger(trainer: RowTrainer, rows: Sequence[Conversation]) -> dict[str, Any]:
    """What the training used: FLOPs by the usual count, 6 for each parameter and token."""
    tokens = sum(len(row["input_ids"]) for row in trainer.rows)
    parameters = trainer.model.num_parameters()
    return {
        "steps": trainer.state.global_step,
        "rows": len(rows),
        "rows_sha256": digest([[m.model_dump() for m in row] for row in rows]),
        "tokens": tokens,
        "trained_tokens": sum(label != IGNORED for row in trainer.rows for label in row["labels"]),
        "cut": sum(
            row["labels"][-1] != trainer.processing_class.eos_token_id for row in trainer.rows
        ),
        "parameters": parameters,
        "trained_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "flops": 6 * parameters * tokens,
        "losses": [
            round(entry["loss"], 4) for entry in trainer.state.log_history if "loss" in entry
        ],
    }
