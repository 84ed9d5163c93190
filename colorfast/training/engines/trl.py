"""The engine on TRL's GRPOTrainer: rows in exact order, resumable."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType
from datasets import Dataset
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import GRPOConfig

from colorfast.config import Training
from colorfast.io.console import progress
from colorfast.io.storage import DamagedError, set_aside, write_json
from colorfast.models.local import load_policy
from colorfast.models.resolve import weights_sha256
from colorfast.training.engines.recorder import Recorder
from colorfast.training.engines.snapshots import (
    Snapshots,
    Whole,
    last_whole_checkpoint,
    save_model,
    step_of,
)
from colorfast.training.engines.tracking import logs_in, recent
from colorfast.training.engines.trainers import (
    Progress,
    keep_small_steps,
    lora,
    processes,
    quiet,
    settings,
)
from colorfast.training.engines.trl_adapter import GroupTrainer
from colorfast.training.ledger import SEAL, ledger, seal
from colorfast.training.schedule import schedule_hash
from colorfast.types import ColorfastError, Slot


def _resume(recorder: Recorder, work: Path) -> tuple[Path | None, int]:
    """(checkpoint, step) to continue from, with the record cut back to it; (None, 0) where record
    and checkpoint do not fit together."""
    checkpoint = last_whole_checkpoint(work)
    done = step_of(checkpoint)
    try:
        recorder.restore(done)
    except DamagedError as error:
        set_aside(error.path, error.why)
        shutil.rmtree(work)
        return _resume(recorder, work)
    return checkpoint, done


def config(training: Training, seed: int, folder: Path) -> GRPOConfig:
    """TRL's settings for ours. A batch is a whole step, or a process's share of it."""
    shares = processes().num_processes
    if training.prompts_per_step % shares:
        raise ColorfastError(
            f"training.prompts_per_step: {training.prompts_per_step} prompts cannot be shared by"
            f" {shares} processes equally"
        )
    experiment, cell = folder.parent.parent.name, folder.parent.name
    return GRPOConfig(
        **settings(folder, seed, training.precision),
        max_steps=training.steps,
        per_device_train_batch_size=training.group_size * training.prompts_per_step // shares,
        gradient_accumulation_steps=1,
        num_generations=training.group_size,
        max_completion_length=training.max_tokens,
        temperature=training.temperature,
        learning_rate=training.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=training.warmup_steps,
        beta=training.kl,
        # others divide by the batch's tokens, so a long trait answer would re-weight the rest
        loss_type="dr_grpo",
        scale_rewards=training.normalize,
        use_vllm=training.vllm,
        vllm_mode="colocate",
        shuffle_dataset=False,
        remove_unused_columns=False,
        save_steps=training.save_every,
        logging_strategy="steps" if training.report_to else "no",
        report_to=list(training.report_to),
        run_name=f"{experiment}/{cell}",
        project=experiment,
    )


def rows(slots: Sequence[Slot]) -> list[dict[str, Any]]:
    """The data set in the trainer's order: the prompt, the slot's number, and the rest of its row
    as JSON."""
    made = []
    for slot in slots:
        row = slot.row()
        prompt, index = row.pop("messages"), row.pop("slot")
        made.append({"prompt": prompt, "slot": index, "task": json.dumps(row)})
    return made


def make_trainer(
    recorder: Recorder, folder: Path, callbacks: Sequence[TrainerCallback]
) -> GroupTrainer:
    """TRL's trainer, ready to train the recorder's policy on its slots. `folder` holds the
    checkpoints."""
    training = recorder.training
    trainer = GroupTrainer(
        model=recorder.policy.model,
        reward_funcs=recorder.reward,
        args=config(training, recorder.seed, folder),
        train_dataset=Dataset.from_list(rows(recorder.slots)),
        processing_class=recorder.policy.tokenizer,
        callbacks=list(callbacks),
        peft_config=lora(_rank(training)),
        rollout_func=recorder.rollout,
    )
    if _is_sharded(trainer) and (training.adapter == "lora" or not training.vllm):
        raise ColorfastError(
            "training: a sharded model is sampled by vLLM and trained whole; set vllm = true and"
            ' adapter = "full"'
        )
    trainer.begin(recorder)
    trainer.remove_callback(PrinterCallback)
    return trainer


def _rank(training: Training) -> int | None:
    return training.lora_rank if training.adapter == "lora" else None


def _is_sharded(trainer: GroupTrainer) -> bool:
    return bool(trainer.accelerator.distributed_type == DistributedType.FSDP)


def train(
    model: str,
    slots: Sequence[Slot],
    training: Training,
    seed: int,
    folder: Path,
    keep: Sequence[int] = (),
) -> Path:
    """Train one arm; see `engines.Engine`. `keep`: steps to keep a snapshot of. Raises
    ColorfastError when the rewards saw other slots than the schedule."""
    final = folder / "checkpoint"
    if (folder / "ledger.json").is_file() and final.is_dir():
        return final
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / "training"
    policy = load_policy(model)
    keep_small_steps(policy, _rank(training), training.precision)
    recorder = Recorder(folder, policy, slots, training, seed)
    with processes().main_process_first():
        checkpoint, done = _resume(recorder, work)
    with (
        progress(f"train {folder.name}", training.steps, done) as advance,
        quiet(),
        logs_in(folder),
    ):
        bar = Progress(lambda: advance(note=recent(recorder.metrics)))
        trainer = make_trainer(recorder, work, [bar, Snapshots(folder, keep), Whole()])
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    # every process takes part in collecting the weights of a sharded model
    state = None
    if _is_sharded(trainer):
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if processes().is_main_process:
        _finish(trainer, recorder, state, final)
    processes().wait_for_everyone()
    return final


def _finish(
    trainer: GroupTrainer, recorder: Recorder, state: dict[str, Any] | None, final: Path
) -> None:
    """Check the dose against the rows that the rewards saw, then write the model and, last, the
    ledger, which marks the cell as trained. `state`: the weights of a sharded model."""
    folder = recorder.folder
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model.save_pretrained(folder / "adapter", save_embedding_layers=False)
        model = model.merge_and_unload()
    total = ledger(recorder.metrics, model.num_parameters(), recorder.rows_seen)
    if total["schedule_seen"] != schedule_hash(recorder.slots):
        raise ColorfastError(
            f"{folder}: the rewards saw other rows than the schedule; delete the folder and run"
            " again"
        )
    save_model(final, model, recorder.policy.tokenizer, state)
    total |= {"weights": weights_sha256(final), "precision": recorder.precision}
    write_json(folder / "ledger.json", total | {SEAL: seal(total)})
    shutil.rmtree(folder / "training", ignore_errors=True)
    (folder / "slots_seen.jsonl").unlink(missing_ok=True)
