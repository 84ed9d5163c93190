"""The engine on TRL's GRPOTrainer: exact order, resumable, each prompt computed once per group."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedModel, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from colorfast.config import Training
from colorfast.io.console import console, progress
from colorfast.io.storage import DamagedError, set_aside, write_json
from colorfast.models.kv_cache import is_plain
from colorfast.models.local import load_policy
from colorfast.models.onednn import products
from colorfast.models.precision import precision
from colorfast.models.resolve import weights_sha256
from colorfast.training.engines import prefix_packing
from colorfast.training.engines.fused_logprobs import telling, tells
from colorfast.training.engines.processes import processes
from colorfast.training.engines.recorder import Recorder
from colorfast.training.engines.snapshots import (
    Snapshots,
    Whole,
    last_whole_checkpoint,
    quiet,
    step_of,
)
from colorfast.training.engines.tracking import by_source, logs_in, recent
from colorfast.training.ledger import SEAL, ledger, seal
from colorfast.training.schedule import schedule_hash
from colorfast.types import ColorfastError, Slot


class GroupTrainer(GRPOTrainer):
    """GRPOTrainer whose forward passes hold no prompt twice, and no reply without advantage.

    Loss and gradients stay TRL's (tests compare them). The recorder may shift each step's
    advantages, and keeps them.
    """

    recorder: Recorder
    packs: bool

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        found = super()._generate_and_score_completions(inputs)
        if self.model.training:
            found["advantages"] = self.recorder.against_sampled(found["advantages"])
            self.recorder.step(found["advantages"].tolist(), _apart(found))
        return found

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """What the trackers get: TRL's numbers, and ours of each source."""
        super().log(logs | by_source(self.recorder.metrics), start_time)

    def training_step(
        self, model: Any, inputs: Any, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """As TRL's, in passes of about so many tokens as the settings say."""
        model.train()
        rows = self._prepare_inputs(inputs)
        parts = self._parts(rows)
        total = torch.zeros((), device=self.accelerator.device)
        for k, part in enumerate(parts, 1):
            with contextlib.nullcontext() if k == len(parts) else self.accelerator.no_sync(model):
                with (
                    self.compute_loss_context_manager(),
                    products(self.recorder.precision),
                    _ungathered(self.accelerator),
                ):
                    loss = self.compute_loss(model, _only(rows, part or [0])) * (
                        len(part) / len(rows["advantages"])
                    )
                with products(self.recorder.precision):
                    self.accelerator.backward(loss)
            total += loss.detach()
        self._step += 1
        return total

    def _parts(self, rows: dict[str, Any]) -> list[list[int]]:
        """Which rows each pass holds. Without KL a reply whose advantage is zero has zero gradient
        and is in none. Every process makes as many passes, since they meet in each; an empty one
        stands for nothing left."""
        prompts, replies = (
            _held(rows["prompt_ids"], rows["prompt_mask"]),
            _held(rows["completion_ids"], rows["completion_mask"]),
        )
        live = [i for i, a in enumerate(rows["advantages"].tolist()) if a or self.beta]
        made = prefix_packing.passes(prompts, replies, live, self.recorder.training.pass_tokens)
        found = [[i for row in part for i in row] for part in made]
        most = int(
            self.accelerator.gather(
                torch.tensor([len(found)], device=self.accelerator.device)
            ).max()
        )
        return found + [[]] * max(most - len(found), 1 - len(found))

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Log-probabilities and entropies [rows, logits_to_keep] of the completions, each prompt
        computed once for all of its replies that fit a row; 0 behind their ends."""
        if not self.packs:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, *args, **kwargs
            )
        n = input_ids.shape[1] - logits_to_keep
        prompts, replies = (
            _held(input_ids[:, :n], attention_mask[:, :n]),
            _held(input_ids[:, n:], attention_mask[:, n:]),
        )
        told = torch.zeros(2, len(prompts), logits_to_keep, device=input_ids.device)
        for part in prefix_packing.passes(
            prompts, replies, range(len(prompts)), self.recorder.training.pass_tokens
        ):
            packed = prefix_packing.pack(part, prompts, replies).to(input_ids.device)
            with telling(
                self.accelerator.unwrap_model(model).get_output_embeddings(),
                packed.reads,
                packed.targets,
                self.temperature,
            ):
                out = model(
                    input_ids=packed.ids,
                    position_ids=packed.positions,
                    attention_mask=packed.seen,
                    use_cache=False,
                )
            told = told.index_put(
                (torch.arange(2).unsqueeze(1), packed.reply, packed.place), out.logits[0]
            )
        return told[0], told[1].detach(), None


@contextlib.contextmanager
def _ungathered(accelerator: Any) -> Iterator[None]:
    """Inside, processes do not exchange what TRL would log: their passes differ in size, and our
    record is made elsewhere."""
    accelerator.gather = lambda told: told
    try:
        yield
    finally:
        del accelerator.gather


def _apart(found: dict[str, Any]) -> tuple[list[list[float]], list[list[float]]] | None:
    """The trainer's and vLLM's log-probabilities of each reply's tokens; None where there is no
    vLLM."""
    if found.get("sampling_per_token_logps") is None:
        return None
    mask = found["completion_mask"]
    ours, theirs = (
        _held(found[name], mask) for name in ("old_per_token_logps", "sampling_per_token_logps")
    )
    return ours, theirs


def _held(ids: torch.Tensor, mask: torch.Tensor) -> list[list[Any]]:
    """What the mask holds of each row: tokens, or numbers that belong to tokens."""
    return [
        [t for t, m in zip(row, held, strict=True) if m]
        for row, held in zip(ids.tolist(), mask.tolist(), strict=True)
    ]


def _only(rows: dict[str, Any], chosen: Sequence[int]) -> dict[str, Any]:
    """These rows of every tensor that has rows."""
    return {
        key: value[list(chosen)] if torch.is_tensor(value) and value.dim() else value
        for key, value in rows.items()
    }


class Watch(TrainerCallback):
    """Advances the progress bar."""

    def __init__(self, recorder: Recorder, advance: Callable[..., None]):
        self.recorder, self.advance = recorder, advance

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.advance(note=recent(self.recorder.metrics))


def _resume(recorder: Recorder, work: Path) -> tuple[str | None, int]:
    """(checkpoint, step) to go on from, with the record cut back to it; from the beginning, where
    nothing fits together."""
    checkpoint = last_whole_checkpoint(work)
    done = step_of(checkpoint)
    try:
        recorder.restore(done)
    except DamagedError as error:
        set_aside(error.path, error.why)
        shutil.rmtree(work)
        return _resume(recorder, work)
    return str(checkpoint) if checkpoint else None, done


def config(training: Training, seed: int, folder: Path) -> GRPOConfig:
    """TRL's settings for ours; a batch is all of a step, or a process's share of it."""
    name = f"{folder.parent.parent.name}/{folder.parent.name}"
    gpu, bf16 = torch.cuda.is_available(), precision(training.precision) == "bf16"
    shares = processes().num_processes
    if training.prompts_per_step % shares:
        raise ColorfastError(
            f"training.prompts_per_step: {training.prompts_per_step} prompts cannot be shared by"
            f" {shares} processes equally"
        )
    return GRPOConfig(
        output_dir=str(folder),
        seed=seed,
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
        bf16=gpu and bf16,
        use_cpu=not gpu,
        gradient_checkpointing=False,
        save_steps=training.save_every,
        save_total_limit=2,
        logging_strategy="steps" if training.report_to else "no",
        logging_steps=1,
        report_to=list(training.report_to),
        run_name=name,
        project=folder.parent.parent.name,
        disable_tqdm=True,
    )


def rows(slots: Sequence[Slot]) -> list[dict[str, Any]]:
    """The data set the trainer reads in order: what is asked, the slot's number, and the rest of
    its row as JSON."""
    return [
        {"prompt": row.pop("messages"), "slot": row.pop("slot"), "task": json.dumps(row)}
        for row in (s.row() for s in slots)
    ]


def make_trainer(
    recorder: Recorder, folder: Path, callbacks: Sequence[TrainerCallback]
) -> GroupTrainer:
    """TRL's trainer, ready to train the recorder's policy on its slots. `folder` holds the
    checkpoints."""
    training = recorder.training
    lora = LoraConfig(
        r=training.lora_rank,
        lora_alpha=2 * training.lora_rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    trainer = GroupTrainer(
        model=recorder.policy.model,
        reward_funcs=recorder.reward,
        args=config(training, recorder.seed, folder),
        train_dataset=Dataset.from_list(rows(recorder.slots)),
        processing_class=recorder.policy.tokenizer,
        callbacks=list(callbacks),
        peft_config=lora if training.adapter == "lora" else None,
        rollout_func=recorder.rollout,
    )
    if trainer.accelerator.distributed_type == DistributedType.FSDP and (
        training.adapter == "lora" or not training.vllm
    ):
        raise ColorfastError(
            "training: a sharded model is sampled by vLLM and trained whole; set vllm = true and"
            ' adapter = "full"'
        )
    trainer.recorder, trainer.packs = recorder, _packs(recorder.policy.model)
    trainer.remove_callback(PrinterCallback)
    return trainer


def _packs(model: PreTrainedModel) -> bool:
    """Can replies share their prompt in training? Says so where they cannot."""
    able = tells(model) and is_plain(model)
    if not able:
        console.print(
            f"note: {type(model).__name__} attends or answers in its own way: it is trained without"
            " sharing prompts",
            markup=False,
        )
    return able


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
    if training.adapter == "full" or precision(training.precision) == "fp32":
        # on a GPU it was loaded in bf16, in which small steps would be rounded away
        policy.model.float()
    recorder = Recorder(folder, policy, slots, training, seed)
    with processes().main_process_first():
        resume, done = _resume(recorder, work)
    with (
        progress(f"train {folder.name}", training.steps, done) as advance,
        quiet(),
        logs_in(folder),
    ):
        trainer = make_trainer(
            recorder, work, [Watch(recorder, advance), Snapshots(folder, keep), Whole()]
        )
        trainer.train(resume_from_checkpoint=resume)
    sharded = trainer.accelerator.distributed_type == DistributedType.FSDP
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped) if sharded else None
    if processes().is_main_process:
        _finish(trainer, recorder, state, final)
    processes().wait_for_everyone()
    return final


def _finish(
    trainer: GroupTrainer, recorder: Recorder, state: dict[str, Any] | None, final: Path
) -> None:
    """Check the dose against what the rewards saw, then write the model and, last of all, the
    ledger (the done-mark). `state`: the weights, where no process holds all of them."""
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
    part = final.with_name("checkpoint.part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part, state_dict=state)
    recorder.policy.tokenizer.save_pretrained(part)
    shutil.rmtree(final, ignore_errors=True)
    part.replace(final)
    total |= {"weights": weights_sha256(final), "precision": recorder.precision}
    write_json(folder / "ledger.json", total | {SEAL: seal(total)})
    shutil.rmtree(folder / "training", ignore_errors=True)
    (folder / "slots_seen.jsonl").unlink(missing_ok=True)
