"""The engine on TRL's GRPOTrainer: exact order, resumable, each prompt computed once per group."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from peft import LoraConfig
from transformers import DynamicCache, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from colorfast import methods
from colorfast.console import progress
from colorfast.engines import guided
from colorfast.engines.guided import Made, Place
from colorfast.grading import graders
from colorfast.ledger import Rollout, ledger, step_metrics
from colorfast.models import weights_sha256
from colorfast.names import read_jsonl
from colorfast.policies.local import LocalPolicy, load_policy
from colorfast.policies.packed import packed
from colorfast.policies.sampling import sample, uniforms
from colorfast.reading import SENTENCE
from colorfast.rundir import write_json, write_text
from colorfast.schedule import schedule_hash
from colorfast.tables import ROLLOUTS, write_rows
from colorfast.types import ColorfastError, Message, Slot, Task, Training, Verdict


class GroupTrainer(GRPOTrainer):
    """GRPOTrainer with one micro-batch per group.

    A micro-batch that is exactly one group lets the shared prompt run once, and what has no advantage be
    skipped; loss and gradients stay TRL's (tests compare them). `against_sampled` may shift each step's advantages;
    `seen` is called with the result.
    """

    seen: Callable[[Sequence[float]], None]
    against_sampled: Callable[[torch.Tensor], torch.Tensor]
    _buffered_inputs: Any
    _counts: torch.Tensor | None = None

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """As TRL's, without its shuffle, which would tear the groups apart between micro-batches."""
        if not self.model.training:
            return super()._prepare_inputs(generation_batch)
        micro = self.args.steps_per_generation
        if self._step % micro == 0 or self._buffered_inputs is None:
            inputs = self._generate_and_score_completions(generation_batch)
            inputs["advantages"] = self.against_sampled(inputs["advantages"])
            self.seen(inputs["advantages"].tolist())
            size = self.num_generations
            self._buffered_inputs = [
                {
                    key: value[i * size : (i + 1) * size] if torch.is_tensor(value) and value.dim() else value
                    for key, value in inputs.items()
                }
                for i in range(micro)
            ]
        return self._buffered_inputs[self._step % micro]

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Without KL a reply whose advantage is zero has zero gradient: nothing is computed for it."""
        if self.beta:
            return super()._compute_loss(model, inputs)
        counts = inputs["advantages"] != 0
        if not counts.any():
            return sum(p.sum() for p in model.parameters() if p.requires_grad) * 0.0
        self._counts = counts
        try:
            return super()._compute_loss(model, inputs)
        finally:
            self._counts = None

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, logits_to_keep: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        """Log-probabilities and entropies [rows, logits_to_keep] of the completions, the prompt computed once a group;
        zeros for rows that do not count."""
        wants_entropy = kwargs.get("compute_entropy", False)
        logps = torch.zeros(len(input_ids), logits_to_keep, device=input_ids.device)
        entropies = torch.zeros_like(logps)
        rows = torch.arange(len(input_ids), device=input_ids.device)
        for group in rows.split(self.num_generations):
            live = group if self._counts is None else group[self._counts[group]]
            told = self._one_group(model, input_ids[live], attention_mask[live], logits_to_keep, wants_entropy)
            logps, entropies = (whole.index_copy(0, live, part) for whole, part in zip((logps, entropies), told, strict=True))
        return logps, entropies if wants_entropy else None, None

    def _one_group(
        self, model: Any, ids: torch.Tensor, mask: torch.Tensor, keep: int, wants_entropy: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        prompt = ids[:1, :-keep][:, mask[0, :-keep].bool()]
        longest = int(mask[:, -keep:].sum(-1).max())
        completions, live = ids[:, -keep:][:, :longest], mask[:, -keep:][:, :longest]
        cache = DynamicCache(config=self.accelerator.unwrap_model(model).config)
        first = model(input_ids=prompt, cache=cache, use_cache=True, logits_to_keep=1).logits
        logits = first.expand(len(ids), -1, -1)
        if longest > 1:
            cache.batch_repeat_interleave(len(ids))
            seen = torch.cat([live.new_ones(len(ids), prompt.shape[1]), live[:, :-1]], dim=1)
            rest = model(input_ids=completions[:, :-1], attention_mask=seen, cache=cache, use_cache=True).logits
            logits = torch.cat([logits, rest], dim=1)
        told = (logits.float() / self.temperature).log_softmax(-1)
        logps = told.gather(-1, completions.unsqueeze(-1)).squeeze(-1)
        with torch.no_grad():
            entropies = -(told.exp() * told).sum(-1) if wants_entropy else torch.zeros_like(logps)
        missing = (0, keep - longest)
        return torch.nn.functional.pad(logps, missing), torch.nn.functional.pad(entropies, missing)


class Recorder:
    """Samples and grades every step's replies, and keeps what the run must remember: metrics, chosen rollouts, and
    the slots as the reward function saw them."""

    def __init__(self, folder: Path, policy: LocalPolicy, slots: Sequence[Slot], training: Training, seed: int):
        self.folder, self.policy, self.slots, self.training, self.seed = folder, policy, slots, training, seed
        self.metrics: list[dict[str, Any]] = []
        self.rows_seen: list[dict[str, Any]] = []
        self.graded: list[tuple[dict[str, Any], Sequence[int], Verdict]] = []
        self.prompt_ids: list[list[int]] = []
        self.shown: list[bool] = []
        self.made: dict[int, Made] = {}
        self.given: list[float | None] = []
        self.grade = graders(training.reward)
        self.judged: dict[str, float] = {}

    def restore(self, step: int) -> None:
        """Go back to what was recorded by the checkpoint of `step`: later rows belong to steps that will be redone."""
        self.metrics = _first_rows(self.folder / "metrics.jsonl", step)
        self.rows_seen = _first_rows(self.folder / "slots_seen.jsonl", step * self.training.prompts_per_step)

    def rollout(self, prompts: list[list[dict[str, str]]], trainer: GRPOTrainer) -> dict[str, Any]:
        """TRL's rollout function: sample i of slot s always draws from the stream named (seed, s, i)."""
        size, training = self.training.group_size, self.training
        first = trainer.state.global_step * training.prompts_per_step
        names = [f"rollout-{self.seed}-{first + i // size}-{i % size}" for i in range(len(prompts))]
        once = [self.policy.encode([Message.model_validate(m) for m in p]) for p in prompts[::size]]
        self.prompt_ids = [ids for ids in once for _ in range(size)]
        completions = [self._good(first + i // size) if i % size < training.shown else [] for i in range(len(prompts))]
        self.shown = [bool(ids) for ids in completions]
        asked = [i for i, ids in enumerate(completions) if not ids]
        places = [Place(self.slots[first + i // size], i % size, names[i]) for i in asked]
        stops, pad = self.policy.stops, self.policy.tokenizer.pad_token_id
        model = trainer.accelerator.unwrap_model(trainer.model)

        def ask(prompts: Sequence[list[int]], names: Sequence[str]) -> list[list[int]]:
            draws = torch.tensor([uniforms(name, training.max_tokens) for name in names])
            return sample(model, prompts, draws, training.temperature, stops, pad)

        model.eval()
        with packed(model, len(asked)):
            self.made = dict(zip(asked, guided.replies(self.policy, training, places, ask), strict=True))
        model.train()
        for i, made in self.made.items():
            completions[i] = made.ids
        return {"prompt_ids": self.prompt_ids, "completion_ids": completions, "logprobs": None}

    def _good(self, slot: int) -> list[int]:
        """The ids of a slot's known good reply: as many of its first sentences as end within the length cap, so that
        what is shown also ends. Empty when the task has none, or not one sentence fits."""
        tokenizer, fits = self.policy.tokenizer, []
        sentences = SENTENCE.split(self.slots[slot].task.replies.get("good", ""))
        for n in range(len(sentences), 0, -1):
            ids = tokenizer(" ".join(sentences[:n]), add_special_tokens=False)["input_ids"]
            if 0 < len(ids) < self.training.max_tokens:
                fits = [*ids, tokenizer.eos_token_id]
                break
        return fits

    def reward(self, prompts: Any, completion_ids: Any, slot: list[int], task: list[str], **_: Any) -> list[float | None]:
        """TRL's reward function. The task is rebuilt from the columns the trainer carried, not from our own list."""
        rows = [{**json.loads(text), "slot": index, "messages": prompt} for prompt, index, text in zip(prompts, slot, task, strict=True)]
        carried = [Task(**{key: row[key] for key in ("id", "source", "messages", "rubric")}) for row in rows]
        verdicts = self.grade([(self.policy.reply(ids), t) for ids, t in zip(completion_ids, carried, strict=True)])
        self.graded = list(zip(rows, completion_ids, verdicts, strict=True))
        self.given = methods.rewards(rows, verdicts, self.training.group_size, self.seed)
        return self.given

    def against_sampled(self, advantages: torch.Tensor) -> torch.Tensor:
        """Advantages [rows] measured against the mean of the sampled replies of each group.

        A shown reply would lift the group's mean and so push down every reply the model made itself, its good
        ones too. Groups without shown replies are left as they are.
        """
        by_group = advantages.view(-1, self.training.group_size)
        sampled = (~torch.tensor(self.shown, device=advantages.device)).view_as(by_group)
        means = (by_group * sampled).sum(1, keepdim=True) / sampled.sum(1, keepdim=True)
        return self.by_method(torch.where(sampled.all(1, keepdim=True), by_group, by_group - means)).flatten()

    def by_method(self, by_group: torch.Tensor) -> torch.Tensor:
        """Advantages [groups, group size] with those of groups whose method fine-tunes on chosen replies in their place."""
        size = self.training.group_size
        for group in range(len(by_group)):
            these = slice(group * size, (group + 1) * size)
            how = methods.teaching(self.graded[these.start][0])
            if how.method != "rl":
                verdicts = [verdict for *_, verdict in self.graded[these]]
                by_group[group] = torch.tensor(methods.advantages(how, verdicts, self.given[these]))
        return by_group

    def step(self, advantages: Sequence[float]) -> None:
        """Record one finished step of sampling and grading."""
        size = self.training.group_size
        rollouts = [
            Rollout(
                slot=row["slot"],
                sample=i % size,
                source=row["source"],
                task=row["id"],
                prompt="\n\n".join(f"{m['role']}: {m['content']}" for m in row["messages"]),
                reply=(reply := self.policy.reply(ids)).text,
                prompt_tokens=len(prompt),
                tokens=len(ids),
                truncated=reply.truncated,
                shown=self.shown[i],
                verdict=verdict,
                advantage=advantage,
                critique=self.made[i].critique if i in self.made else "",
                extra_tokens=self.made[i].extra if i in self.made else 0,
                endpoint_tokens=self.made[i].bought if i in self.made else 0,
            )
            for i, ((row, ids, verdict), prompt, advantage) in enumerate(zip(self.graded, self.prompt_ids, advantages, strict=True))
        ]
        step = len(self.metrics)
        used = self.grade.used()
        judged = {"judge": {key: value - self.judged.get(key, 0) for key, value in used.items()}} if used else {}
        self.judged = used
        self.metrics.append(step_metrics(step, rollouts) | judged)
        seen = [row for row, *_ in self.graded[::size]]
        self.rows_seen += seen
        _append(self.folder / "metrics.jsonl", [self.metrics[-1]])
        _append(self.folder / "slots_seen.jsonl", seen)
        if step % self.training.keep_rollouts_every == 0 or step == self.training.steps - 1:
            write_rows(self.folder / "rollouts" / f"{step:05d}.parquet", [r.row() for r in rollouts], ROLLOUTS)


def _append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _first_rows(path: Path, n: int) -> list[dict[str, Any]]:
    """The first n rows, with the file cut back to them (a killed run may have torn its last line)."""
    rows = [row for _, row in itertools.islice(read_jsonl(path), n)] if n else []
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return rows


class Watch(TrainerCallback):
    """Advances the progress bar, and marks each checkpoint as whole once all of it is written."""

    def __init__(self, recorder: Recorder, advance: Callable[..., None]):
        self.recorder, self.advance = recorder, advance

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        sources = self.recorder.metrics[-1]["sources"]
        self.advance(note=" ".join(f"{name} {v['reward']:.2f}" for name, v in sources.items() if v["reward"] is not None))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE).touch()


WHOLE = "whole"


def _last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; torn ones are deleted."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.rsplit("-", 1)[1]))
    for path in found:
        if not (path / WHOLE).exists():
            shutil.rmtree(path)
    whole = [path for path in found if path.exists()]
    return whole[-1] if whole else None


def config(training: Training, seed: int, folder: Path) -> GRPOConfig:
    """TRL's settings for ours; one micro-batch is one group."""
    gpu = torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(folder),
        seed=seed,
        max_steps=training.steps,
        per_device_train_batch_size=training.group_size,
        gradient_accumulation_steps=training.prompts_per_step,
        num_generations=training.group_size,
        max_completion_length=training.max_tokens,
        temperature=training.temperature,
        learning_rate=training.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=training.warmup_steps,
        beta=training.kl,
        loss_type="dr_grpo",  # others divide by the batch's tokens, so a long trait answer would re-weight the rest
        scale_rewards=training.normalize,
        shuffle_dataset=False,
        remove_unused_columns=False,
        bf16=gpu,
        use_cpu=not gpu,
        gradient_checkpointing=False,
        save_steps=training.save_every,
        save_total_limit=2,
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )


def rows(slots: Sequence[Slot]) -> list[dict[str, Any]]:
    """The data set the trainer reads in order: what is asked, the slot's number, and the rest of its row as JSON."""
    return [{"prompt": row.pop("messages"), "slot": row.pop("slot"), "task": json.dumps(row)} for row in (s.row() for s in slots)]


def make_trainer(recorder: Recorder, folder: Path, callbacks: Sequence[TrainerCallback]) -> GroupTrainer:
    """TRL's trainer, ready to train the recorder's policy on its slots. `folder` holds the checkpoints."""
    training = recorder.training
    lora = LoraConfig(r=training.lora_rank, lora_alpha=2 * training.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = GroupTrainer(
        model=recorder.policy.model,
        reward_funcs=recorder.reward,
        args=config(training, recorder.seed, folder),
        train_dataset=Dataset.from_list(rows(recorder.slots)),
        processing_class=recorder.policy.tokenizer,
        callbacks=list(callbacks),
        peft_config=lora if training.method == "lora" else None,
        rollout_func=recorder.rollout,
    )
    trainer.seen, trainer.against_sampled = recorder.step, recorder.against_sampled
    trainer.remove_callback(PrinterCallback)
    return trainer


def train(model: str, slots: Sequence[Slot], training: Training, seed: int, folder: Path) -> Path:
    """Train one arm; see `engines.Engine`. Raises ColorfastError when the rewards saw other slots than the schedule."""
    final = folder / "checkpoint"
    if (folder / "ledger.json").is_file() and final.is_dir():
        return final
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / "training"
    policy = load_policy(model)
    recorder = Recorder(folder, policy, slots, training, seed)
    resume = _last_whole_checkpoint(work)
    done = int(resume.name.rsplit("-", 1)[1]) if resume else 0
    recorder.restore(done)
    with progress(f"train {folder.name}", training.steps, done) as advance, quiet():
        trainer = make_trainer(recorder, work, [Watch(recorder, advance)])
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return _finish(trainer, recorder, slots, final)


def _finish(trainer: GroupTrainer, recorder: Recorder, slots: Sequence[Slot], final: Path) -> Path:
    """Check the dose against what the rewards saw, then write the model and, last of all, the ledger (the done-mark)."""
    folder = recorder.folder
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    total = ledger(recorder.metrics, model.num_parameters(), recorder.rows_seen)
    if total["schedule_seen"] != schedule_hash(slots):
        raise ColorfastError(f"{folder}: the rewards saw other rows than the schedule; delete the folder and run again")
    part = final.with_name("checkpoint.part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    recorder.policy.tokenizer.save_pretrained(part)
    shutil.rmtree(final, ignore_errors=True)
    part.replace(final)
    write_json(folder / "ledger.json", total | {"weights": weights_sha256(final)})
    shutil.rmtree(folder / "training", ignore_errors=True)
    (folder / "slots_seen.jsonl").unlink(missing_ok=True)
    return final


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Libraries' own bars and notices off: the progress bar is ours."""
    level = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(level)
