"""What a run samples, grades and must remember: the rollouts of each step, its metrics, the slots
that the rewards saw."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
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
from colorfast.training.engines.context_distillation import Made, Place
from colorfast.training.engines.processes import processes
from colorfast.training.ledger import Rollout, step_metrics
from colorfast.types import ColorfastError, Message, Slot, Task, Verdict


class Recorder:
    """Samples and grades every step's replies, and keeps what the run must remember: metrics,
    chosen rollouts, and the slots as the reward function saw them."""

    def __init__(
        self,
        folder: Path,
        policy: LocalPolicy,
        slots: Sequence[Slot],
        training: Training,
        seed: int,
    ):
        self.folder, self.policy, self.slots, self.training, self.seed = (
            folder,
            policy,
            slots,
            training,
            seed,
        )
        self.metrics: list[dict[str, Any]] = []
        self.rows_seen: list[dict[str, Any]] = []
        self.graded: list[tuple[dict[str, Any], Sequence[int], Verdict]] = []
        self.prompt_ids: list[list[int]] = []
        self.shown: list[bool] = []
        self.made: dict[int, Made] = {}
        self.given: list[float | None] = []
        self.grade = graders(training.grading)
        self.judged: dict[str, float] = {}
        self.precision = precision(training.precision)

    def restore(self, step: int) -> None:
        """Go back to what was recorded by the checkpoint of `step`: later rows belong to steps that
        will be redone. Raises DamagedError when the record does not reach so far."""
        self.metrics = _first_rows(self.folder / "metrics.jsonl", step)
        self.rows_seen = _first_rows(
            self.folder / "slots_seen.jsonl", step * self.training.prompts_per_step
        )

    def rollout(self, prompts: list[list[dict[str, str]]], trainer: GRPOTrainer) -> dict[str, Any]:
        """TRL's rollout function: sample i of slot s always draws from the stream named (seed, s,
        i)."""
        size, training = self.training.group_size, self.training
        first = (
            trainer.state.global_step * training.prompts_per_step
            + trainer.accelerator.process_index * len(prompts) // size
        )
        names = [f"rollout-{self.seed}-{first + i // size}-{i % size}" for i in range(len(prompts))]
        once = [self.policy.encode([Message.model_validate(m) for m in p]) for p in prompts[::size]]
        self.prompt_ids = [ids for ids in once for _ in range(size)]
        completions = [
            self._good(first + i // size) if i % size < training.demonstrations else []
            for i in range(len(prompts))
        ]
        self.shown = [bool(ids) for ids in completions]
        asked = [i for i, ids in enumerate(completions) if not ids]
        places = [Place(self.slots[first + i // size], i % size, names[i]) for i in asked]
        stops = self.policy.stops
        model = trainer.accelerator.unwrap_model(trainer.model)
        logs: dict[str, list[float]] = {}

        def ask(prompts: Sequence[list[int]], names: Sequence[str]) -> list[list[int]]:
            if training.vllm:
                llm = trainer.vllm_generation.llm  # the trainer has given it the newest weights
                ids, told = vllm.rollouts(
                    llm, prompts, names, training.max_tokens, training.temperature, stops
                )
                logs.update(zip(names, told, strict=True))
                return ids
            draws = torch.tensor([uniforms(name, training.max_tokens) for name in names])
            return sample(model, prompts, draws, training.temperature, stops)

        model.eval()
        with packed_linears(model, len(asked), self.precision):
            self.made = dict(
                zip(
                    asked,
                    context_distillation.replies(self.policy, training, places, ask),
                    strict=True,
                )
            )
        model.train()
        for i, reply in self.made.items():
            completions[i] = reply.ids
        told = (
            [_of(logs.get(name, []), ids) for name, ids in zip(names, completions, strict=True)]
            if training.vllm
            else None
        )
        return {"prompt_ids": self.prompt_ids, "completion_ids": completions, "logprobs": told}

    def _good(self, slot: int) -> list[int]:
        """The ids of a slot's known good reply: as many of its first sentences as end within the
        length cap, so that what is shown also ends. Empty when the task has none, or not one
        sentence fits."""
        tokenizer, fits = self.policy.tokenizer, []
        sentences = SENTENCE.split(self.slots[slot].task.replies.get("good", ""))
        for n in range(len(sentences), 0, -1):
            ids = tokenizer(" ".join(sentences[:n]), add_special_tokens=False)["input_ids"]
            if 0 < len(ids) < self.training.max_tokens:
                fits = [*ids, tokenizer.eos_token_id]
                break
        return fits

    def reward(
        self, prompts: Any, completion_ids: Any, slot: list[int], task: list[str], **_: Any
    ) -> list[float | None]:
        """TRL's reward function. The task is rebuilt from the columns the trainer carried, not from
        our own list."""
        rows = [
            {**json.loads(text), "slot": index, "messages": prompt}
            for prompt, index, text in zip(prompts, slot, task, strict=True)
        ]
        carried = [
            Task(**{key: row[key] for key in ("id", "source", "messages", "rubric")})
            for row in rows
        ]
        verdicts = self.grade(
            [(self.policy.reply(ids), t) for ids, t in zip(completion_ids, carried, strict=True)]
        )
        self.graded = list(zip(rows, completion_ids, verdicts, strict=True))
        self.given = objectives.rewards(rows, verdicts, self.training.group_size, self.seed)
        return self.given

    def against_sampled(self, advantages: torch.Tensor) -> torch.Tensor:
        """Advantages [rows] measured against the mean of the sampled replies of each group.

        A shown reply would lift the group's mean and so push down every reply the model made
        itself, its good ones too. Groups without shown replies are left as they are.
        """
        by_group = advantages.view(-1, self.training.group_size)
        sampled = (~torch.tensor(self.shown, device=advantages.device)).view_as(by_group)
        means = (by_group * sampled).sum(1, keepdim=True) / sampled.sum(1, keepdim=True)
        return self.by_method(
            torch.where(sampled.all(1, keepdim=True), by_group, by_group - means)
        ).flatten()

    def by_method(self, by_group: torch.Tensor) -> torch.Tensor:
        """Advantages [groups, group size] with those of groups whose method fine-tunes on chosen
        replies in their place."""
        size = self.training.group_size
        for group in range(len(by_group)):
            these = slice(group * size, (group + 1) * size)
            how = objectives.objective_of(self.graded[these.start][0])
            if how.name != "rl":
                verdicts = [verdict for *_, verdict in self.graded[these]]
                by_group[group] = torch.tensor(
                    objectives.advantages(how, verdicts, self.given[these])
                )
        return by_group

    def step(
        self,
        advantages: Sequence[float],
        apart: tuple[list[list[float]], list[list[float]]] | None = None,
    ) -> None:
        """Record one finished step of sampling and grading, every process's share of it. `apart`:
        the log-probabilities of each reply's tokens by the trainer and by vLLM."""
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
            for i, ((row, ids, verdict), prompt, advantage) in enumerate(
                zip(self.graded, self.prompt_ids, advantages, strict=True)
            )
        ]
        step = len(self.metrics)
        used = self.grade.used()
        spent = {key: value - self.judged.get(key, 0) for key, value in used.items()}
        self.judged = used
        rollouts = gather_object(rollouts)
        seen = gather_object([row for row, *_ in self.graded[::size]])
        shares = gather_object([spent])
        judged = (
            {"judge": {key: sum(share[key] for share in shares) for key in spent}} if spent else {}
        )
        masked = (
            {"masked": vllm.masked_share([r.source for r in rollouts], *map(gather_object, apart))}
            if apart
            else {}
        )
        self.metrics.append(step_metrics(step, rollouts) | judged | masked)
        self.rows_seen += seen
        if not processes().is_main_process:
            return
        _append(self.folder / "metrics.jsonl", [self.metrics[-1]])
        _append(self.folder / "slots_seen.jsonl", seen)
        if step % self.training.keep_rollouts_every == 0 or step == self.training.steps - 1:
            write_rows(
                self.folder / "rollouts" / f"{step:05d}.parquet",
                [r.row() for r in rollouts],
                ROLLOUTS,
            )


def _of(logs: Sequence[float], ids: Sequence[int]) -> list[float]:
    """The sampler's numbers for these ids; NaN, which the trainer takes as its own, for what was
    made in another way."""
    return list(logs) if len(logs) == len(ids) else [math.nan] * len(ids)


def _append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _first_rows(path: Path, n: int) -> list[dict[str, Any]]:
    """The first n rows, with the file cut back to them (a killed run may have torn its last
    line)."""
    try:
        rows = [row for _, row in itertools.islice(read_jsonl(path), n)] if n else []
    except ColorfastError as error:
        raise DamagedError(path, error) from None
    if len(rows) < n:
        raise DamagedError(path, f"{len(rows)} rows of {n}")
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return rows
