"""The record of a training run: rollouts and metrics of each step, and the slots that the rewards
saw."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from trl import GRPOTrainer

from colorfast.config import Training
from colorfast.io.storage import DamagedError, write_text
from colorfast.io.tables import ROLLOUTS, write_rows
from colorfast.io.validation import read_jsonl
from colorfast.models import vllm
from colorfast.models.cpu_linear import packed_linears
from colorfast.models.local import LocalPolicy
from colorfast.models.precision import precision
from colorfast.models.sampling import sample, uniforms
from colorfast.rewards.select import graders
from colorfast.rewards.text import SENTENCE
from colorfast.training import objectives
from colorfast.training.engines import context_distillation
from colorfast.training.engines.context_distillation import (
    PlannedReply,
    SampledReply,
    Tokens,
)
from colorfast.training.engines.trainers import processes
from colorfast.training.ledger import Rollout, step_metrics
from colorfast.types import ColorfastError, Message, Slot, Task, Verdict


@dataclass
class Recorder:
    """Samples and grades every step's replies, and keeps metrics, chosen rollouts, and the slots as
    the reward function saw them."""

    folder: Path
    policy: LocalPolicy
    slots: Sequence[Slot]
    training: Training
    seed: int
    metrics: list[dict[str, Any]] = field(default_factory=list)
    rows_seen: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.grade = graders(self.training.grading)
        self.judge_usage: dict[str, float] = {}
        self.precision = precision(self.training.precision)
        # of the current step, one entry a reply
        self.prompt_ids: list[Tokens] = []
        self.shown: list[bool] = []
        self.sampled: dict[int, SampledReply] = {}
        self.graded: list[tuple[dict[str, Any], Sequence[int], Verdict]] = []
        self.rewards: list[float | None] = []
        self.vllm_logprobs: dict[str, list[float]] = {}

    def restore(self, step: int) -> None:
        """Cut the record back to the checkpoint of `step`; later steps are done again. Raises
        DamagedError when the record ends before it."""
        self.metrics = _first_rows(self.folder / "metrics.jsonl", step)
        rows = step * self.training.prompts_per_step
        self.rows_seen = _first_rows(self.folder / "slots_seen.jsonl", rows)

    def rollout(self, prompts: list[list[dict[str, str]]], trainer: GRPOTrainer) -> dict[str, Any]:
        """TRL's rollout function. Reply i of slot s is always drawn from the stream named (seed, s,
        i)."""
        training, size = self.training, self.training.group_size
        first = trainer.state.global_step * training.prompts_per_step
        first += trainer.accelerator.process_index * len(prompts) // size
        self.prompt_ids = []
        planned: list[PlannedReply] = []
        for slot, prompt in enumerate(prompts[::size], first):
            ids = self.policy.encode([Message.model_validate(m) for m in prompt])
            for i in range(size):
                self.prompt_ids.append(ids)
                name = f"rollout-{self.seed}-{slot}-{i}"
                planned.append(PlannedReply(self.slots[slot], i, name))
        completions = [
            self._demonstration(p.slot.task) if p.sample < training.demonstrations else []
            for p in planned
        ]
        self.shown = [bool(ids) for ids in completions]
        to_sample = [i for i, shown in enumerate(self.shown) if not shown]
        model = trainer.accelerator.unwrap_model(trainer.model)
        self.vllm_logprobs = {}
        model.eval()
        with packed_linears(model, len(to_sample), self.precision):
            replies = context_distillation.replies(
                self.policy,
                training,
                [planned[i] for i in to_sample],
                partial(self._complete, trainer, model),
            )
        model.train()
        self.sampled = dict(zip(to_sample, replies, strict=True))
        for i, reply in self.sampled.items():
            completions[i] = reply.ids
        logprobs = [
            self._logprobs(p.name, ids) for p, ids in zip(planned, completions, strict=True)
        ]
        return {
            "prompt_ids": self.prompt_ids,
            "completion_ids": completions,
            "logprobs": logprobs if training.vllm else None,
        }

    def _complete(
        self, trainer: Any, model: Any, prompts: Sequence[Tokens], names: Sequence[str]
    ) -> list[Tokens]:
        """A completion for each prompt, by vLLM or by the model itself."""
        training, stops = self.training, self.policy.stops
        if training.vllm:
            llm = trainer.vllm_generation.llm  # the trainer has given it the newest weights
            completions, logprobs = vllm.rollouts(
                llm, prompts, names, training.max_tokens, training.temperature, stops
            )
            self.vllm_logprobs |= zip(names, logprobs, strict=True)
            return completions
        draws = torch.tensor([uniforms(name, training.max_tokens) for name in names])
        return sample(model, prompts, draws, training.temperature, stops)

    def _logprobs(self, name: str, ids: Sequence[int]) -> list[float]:
        """vLLM's log-probabilities of these ids. NaN, which the trainer replaces by its own, where
        they were not sampled by vLLM."""
        logprobs = self.vllm_logprobs.get(name, [])
        return logprobs if len(logprobs) == len(ids) else [math.nan] * len(ids)

    def _demonstration(self, task: Task) -> Tokens:
        """The ids of a task's good reply: as many of its first sentences as end within the length
        cap. Empty when the task has none, or not one sentence fits."""
        tokenizer = self.policy.tokenizer
        sentences = SENTENCE.split(task.replies.get("good", ""))
        for n in range(len(sentences), 0, -1):
            ids = tokenizer(" ".join(sentences[:n]), add_special_tokens=False)["input_ids"]
            if 0 < len(ids) < self.training.max_tokens:
                return [*ids, tokenizer.eos_token_id]
        return []

    def reward(
        self, prompts: Any, completion_ids: Any, slot: list[int], task: list[str], **_: Any
    ) -> list[float | None]:
        """TRL's reward function. The task is rebuilt from the columns that the trainer carried, not
        from our own list."""
        rows = []
        pairs = []
        for prompt, ids, index, text in zip(prompts, completion_ids, slot, task, strict=True):
            row = {**json.loads(text), "slot": index, "messages": prompt}
            carried = Task(**{key: row[key] for key in ("id", "source", "messages", "rubric")})
            rows.append(row)
            pairs.append((self.policy.reply(ids), carried))
        verdicts = self.grade(pairs)
        self.graded = list(zip(rows, completion_ids, verdicts, strict=True))
        self.rewards = objectives.rewards(rows, verdicts, self.training.group_size, self.seed)
        return self.rewards

    def advantages(self, by_reply: torch.Tensor) -> torch.Tensor:
        """TRL's advantages [replies], changed where a group has demonstrations or another objective
        than RL.

        With demonstrations they are measured against the mean of the sampled replies. A
        demonstration raises the group's mean, and would push down every reply of the model, its
        good ones too.
        """
        size = self.training.group_size
        groups = by_reply.view(-1, size)
        sampled = (~torch.tensor(self.shown, device=by_reply.device)).view_as(groups)
        means = (groups * sampled).sum(1, keepdim=True) / sampled.sum(1, keepdim=True)
        groups = torch.where(sampled.all(1, keepdim=True), groups, groups - means)
        for k in range(len(groups)):
            members = slice(k * size, (k + 1) * size)
            objective = objectives.objective_of(self.graded[members.start][0])
            if objective.name != "rl":
                verdicts = [verdict for *_, verdict in self.graded[members]]
                groups[k] = torch.tensor(
                    objectives.advantages(objective, verdicts, self.rewards[members])
                )
        return groups.flatten()

    def step(
        self,
        advantages: Sequence[float],
        logprobs: tuple[list[list[float]], list[list[float]]] | None = None,
    ) -> None:
        """Record one finished step of sampling and grading, every process's share of it.
        `logprobs`: of each reply's tokens, by the trainer and by vLLM."""
        rollouts = gather_object([self._rollout(i, a) for i, a in enumerate(advantages)])
        seen = gather_object([row for row, *_ in self.graded[:: self.training.group_size]])
        step = len(self.metrics)
        metrics = step_metrics(step, rollouts)
        usage = self._new_judge_usage()
        if usage:
            metrics["judge"] = usage
        if logprobs:
            ours, theirs = (gather_object(rows) for rows in logprobs)
            metrics["masked"] = vllm.masked_share([r.source for r in rollouts], ours, theirs)
        self.metrics.append(metrics)
        self.rows_seen += seen
        if not processes().is_main_process:
            return
        _append(self.folder / "metrics.jsonl", [metrics])
        _append(self.folder / "slots_seen.jsonl", seen)
        if step % self.training.keep_rollouts_every == 0 or step == self.training.steps - 1:
            path = self.folder / "rollouts" / f"{step:05d}.parquet"
            write_rows(path, [r.row() for r in rollouts], ROLLOUTS)

    def _rollout(self, i: int, advantage: float) -> Rollout:
        row, ids, verdict = self.graded[i]
        reply = self.policy.reply(ids)
        sampled = self.sampled.get(i, SampledReply([]))
        return Rollout(
            slot=row["slot"],
            sample=i % self.training.group_size,
            source=row["source"],
            task=row["id"],
            prompt="\n\n".join(f"{m['role']}: {m['content']}" for m in row["messages"]),
            reply=reply.text,
            prompt_tokens=len(self.prompt_ids[i]),
            tokens=len(ids),
            truncated=reply.truncated,
            shown=self.shown[i],
            verdict=verdict,
            advantage=advantage,
            critique=sampled.critique,
            extra_tokens=sampled.extra_tokens,
            endpoint_tokens=sampled.endpoint_tokens,
        )

    def _new_judge_usage(self) -> dict[str, float]:
        """The judge's usage since the last step, over all processes; empty without a judge."""
        usage = self.grade.used()
        new = {key: value - self.judge_usage.get(key, 0) for key, value in usage.items()}
        self.judge_usage = usage
        shares = gather_object([new])
        return {key: sum(share[key] for share in shares) for key in new}


def _append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _first_rows(path: Path, n: int) -> list[dict[str, Any]]:
    """The first n rows, with the file cut back to them, because a killed run may have torn the last
    line."""
    try:
        rows = [row for _, row in itertools.islice(read_jsonl(path), n)] if n else []
    except ColorfastError as error:
        raise DamagedError(path, error) from None
    if len(rows) < n:
        raise DamagedError(path, f"{len(rows)} rows of {n}")
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return rows
