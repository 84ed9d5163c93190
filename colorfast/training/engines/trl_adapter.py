"""Adapter of TRL's GRPOTrainer: everything that overrides its methods.

Loss and gradients are TRL's; tests compare them. Importing this module checks the signature that
each override expects. Where TRL differs, or the model is not a plain one, TRL's own method runs.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel
from trl import GRPOTrainer

from colorfast.io.console import console
from colorfast.models.kv_cache import is_plain
from colorfast.models.onednn import products
from colorfast.training.engines import fused_logprobs, prefix_packing
from colorfast.training.engines.recorder import Recorder
from colorfast.training.engines.tracking import by_source
from colorfast.types import ColorfastError

Rows = dict[str, Any]
"""TRL's tensors of a step: prompt_ids, prompt_mask, completion_ids, completion_mask, advantages."""


def _accepts(method: str, *arguments: str) -> bool:
    """Whether the trainer has this method with these first arguments."""
    function = getattr(GRPOTrainer, method, None)
    if function is None:
        return False
    return list(inspect.signature(function).parameters)[1 : len(arguments) + 1] == list(arguments)


SPLITS_STEPS = (
    _accepts("training_step", "model", "inputs", "num_items_in_batch")
    and _accepts("_prepare_inputs", "generation_batch")
    and _accepts("compute_loss", "model", "inputs")
    and hasattr(Accelerator, "gather")
)
"""Whether a step can be cut into passes of our own size."""
PACKS = _accepts(
    "_get_per_token_logps_and_entropies", "model", "input_ids", "attention_mask", "logits_to_keep"
)
"""Whether log-probabilities can be computed with packed prompts."""
RECORDS = _accepts("_generate_and_score_completions", "inputs")
"""Whether a step's advantages can be seen and changed. Nothing replaces this."""


class GroupTrainer(GRPOTrainer):
    """GRPOTrainer that computes no prompt twice and no reply without advantage."""

    recorder: Recorder
    splits = packs = False

    def begin(self, recorder: Recorder) -> None:
        """Record the steps with `recorder`. Raises ColorfastError where TRL hides them."""
        if not RECORDS:
            raise ColorfastError(
                "TRL: this version has no _generate_and_score_completions(inputs), which the record"
                " of a run needs; install the version that pyproject.toml names"
            )
        self.recorder = recorder
        self.splits = SPLITS_STEPS and hasattr(self, "_step")
        self.packs = PACKS and can_pack(recorder.policy.model)

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        rows = super()._generate_and_score_completions(inputs)
        if self.model.training:
            rows["advantages"] = self.recorder.advantages(rows["advantages"])
            self.recorder.step(rows["advantages"].tolist(), _vllm_logprobs(rows))
        return rows

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Send TRL's numbers and ours of each source to the trackers."""
        super().log(logs | by_source(self.recorder.metrics), start_time)

    def training_step(
        self, model: Any, inputs: Any, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """One step, in passes of about `training.pass_tokens` tokens."""
        if not self.splits:
            with products(self.recorder.precision):
                return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        rows = self._prepare_inputs(inputs)
        passes = self._passes(rows)
        total = torch.zeros((), device=self.accelerator.device)
        for k, chosen in enumerate(passes, 1):
            last = k == len(passes)
            with contextlib.nullcontext() if last else self.accelerator.no_sync(model):
                total += self._backward(model, rows, chosen)
        self._step += 1
        return total

    def _backward(self, model: Any, rows: Rows, chosen: Sequence[int]) -> torch.Tensor:
        """Add the gradient of the chosen rows; returns their share of the loss."""
        share = len(chosen) / len(rows["advantages"])
        part = {
            key: value[list(chosen) or [0]] if torch.is_tensor(value) and value.dim() else value
            for key, value in rows.items()
        }
        with products(self.recorder.precision):
            with self.compute_loss_context_manager(), _no_gather(self.accelerator):
                loss = self.compute_loss(model, part) * share
            self.accelerator.backward(loss)
        return loss.detach()

    def _passes(self, rows: Rows) -> list[list[int]]:
        """The rows of each pass. Without KL a reply of advantage zero has zero gradient and is in
        none. All processes need the same number of passes, so some may be empty."""
        prompts = _unpadded(rows["prompt_ids"], rows["prompt_mask"])
        replies = _unpadded(rows["completion_ids"], rows["completion_mask"])
        live = [i for i, a in enumerate(rows["advantages"].tolist()) if a or self.beta]
        passes: list[list[int]] = []
        for packed_rows in prefix_packing.passes(
            prompts, replies, live, self.recorder.training.pass_tokens
        ):
            passes.append([i for row in packed_rows for i in row])
        count = torch.tensor([max(len(passes), 1)], device=self.accelerator.device)
        most = int(self.accelerator.gather(count).max())
        return passes + [[] for _ in range(most - len(passes))]

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Log-probabilities and entropies [rows, logits_to_keep] of the completions, 0 after their
        ends. Each prompt is computed once for all of its replies that fit in a row."""
        if not self.packs:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, *args, **kwargs
            )
        n = input_ids.shape[1] - logits_to_keep
        prompts = _unpadded(input_ids[:, :n], attention_mask[:, :n])
        replies = _unpadded(input_ids[:, n:], attention_mask[:, n:])
        head = self.accelerator.unwrap_model(model).get_output_embeddings()
        values = torch.zeros(2, len(prompts), logits_to_keep, device=input_ids.device)
        for rows in prefix_packing.passes(
            prompts, replies, range(len(prompts)), self.recorder.training.pass_tokens
        ):
            packed = prefix_packing.pack(rows, prompts, replies).to(input_ids.device)
            with fused_logprobs.in_place_of_logits(
                head, packed.reads, packed.targets, self.temperature
            ):
                out = model(
                    input_ids=packed.ids,
                    position_ids=packed.positions,
                    attention_mask=packed.seen,
                    use_cache=False,
                )
            index = (torch.arange(2).unsqueeze(1), packed.reply, packed.token)
            values = values.index_put(index, out.logits[0])
        return values[0], values[1].detach(), None


@contextlib.contextmanager
def _no_gather(accelerator: Any) -> Iterator[None]:
    """Inside, processes do not exchange the numbers that TRL would log, because their passes differ
    in size and our record is made elsewhere."""
    accelerator.gather = lambda values: values
    try:
        yield
    finally:
        del accelerator.gather


def _vllm_logprobs(rows: Rows) -> tuple[list[list[float]], list[list[float]]] | None:
    """The trainer's and vLLM's log-probabilities of each reply's tokens; None without vLLM."""
    if rows.get("sampling_per_token_logps") is None:
        return None
    mask = rows["completion_mask"]
    ours = _unpadded(rows["old_per_token_logps"], mask)
    return ours, _unpadded(rows["sampling_per_token_logps"], mask)


def _unpadded(values: torch.Tensor, mask: torch.Tensor) -> list[list[Any]]:
    """The values of each row where its mask is not zero."""
    return [row[own.bool()].tolist() for row, own in zip(values, mask, strict=True)]


def can_pack(model: PreTrainedModel) -> bool:
    """Whether replies can share their prompt in training; prints a note where they cannot."""
    able = fused_logprobs.is_supported(model) and is_plain(model)
    if not able:
        console.print(
            f"note: {type(model).__name__} has its own attention or output layer: it is trained"
            " without sharing prompts",
            markup=False,
        )
    return able
