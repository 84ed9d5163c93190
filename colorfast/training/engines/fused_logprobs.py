"""Adapter of the output layer: log-probabilities of given tokens without the logits of others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from colorfast.models.prompts import STRIDE

CHANGES_LOGITS = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
)
"""Settings of models that change logits after the output layer."""
FINDS_HEAD = hasattr(PreTrainedModel, "get_output_embeddings")
"""Whether transformers tells which layer is the output layer."""


class _LogProbs(torch.autograd.Function):
    """log softmax(hidden W^T / T) at the targets, and the entropy there.

    With p the probabilities and g the gradient of a log-probability, d hidden = g (W[target] - p W)
    / T and d W = (onehot - p)^T (g hidden) / T. One more product in the forward pass, p W, also
    gives the entropy, and the backward pass needs none over the vocabulary.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        temperature: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.temperature, ctx.dtype = temperature, weight.dtype
        weight = weight.to(hidden.dtype)
        scaled = hidden / temperature if temperature != 1 else hidden
        logits = (scaled @ weight.T).float()
        target = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
        top = logits.amax(1, keepdim=True)
        mass = logits.sub_(top).exp_()
        total = mass.sum(1, keepdim=True)
        probabilities = mass.div_(total).to(hidden.dtype)
        log_total = (top + total.log()).squeeze(1)
        mean = probabilities @ weight
        kept = probabilities if ctx.needs_input_grad[1] else hidden.new_empty(0)
        ctx.save_for_backward(hidden, weight, targets, kept, mean)
        entropies = log_total - (mean * hidden).float().sum(1) / temperature
        ctx.mark_non_differentiable(entropies)
        return target - log_total, entropies

    @staticmethod
    def backward(
        ctx: Any, *grads: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, None, None]:
        hidden, weight, targets, probabilities, mean = ctx.saved_tensors
        g = (grads[0] / ctx.temperature).to(hidden.dtype).unsqueeze(1)
        to_weight = None
        if ctx.needs_input_grad[1]:
            weighted = g * hidden
            to_weight = (probabilities.T @ -weighted).index_add_(0, targets, weighted)
            to_weight = to_weight.to(ctx.dtype)
        return g * (weight[targets] - mean), to_weight, None, None


@contextlib.contextmanager
def in_place_of_logits(
    head: nn.Module, reads: torch.Tensor, targets: torch.Tensor, temperature: float
) -> Iterator[None]:
    """Inside, the output layer returns [1, 2, targets] instead of logits: log-probabilities at the
    temperature and entropies, both in nats, of `targets` after the positions `reads` (flat, over
    rows and positions)."""
    more = -len(reads) % STRIDE
    rows, padded = (torch.cat([x, x[:1].expand(more)]) for x in (reads, targets))

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        # A prompt's last token is read once per reply. The gradient of `[rows]` adds repeats by
        # atomic operations, in another order each time; that of `index_select` adds them in order.
        read = hidden.flatten(0, 1).index_select(0, rows)
        values = torch.stack(_LogProbs.apply(read, head.weight, padded, temperature))
        return values[:, : len(reads)].unsqueeze(0)

    setattr(head, "forward", forward)  # noqa: B010 (shadows the class's method)
    try:
        yield
    finally:
        del head.forward


def is_supported(model: PreTrainedModel) -> bool:
    """Whether the model's output layer is a plain product whose logits nothing changes."""
    head: Any = model.get_output_embeddings() if FINDS_HEAD else None
    return (
        type(head) is nn.Linear
        and getattr(head, "bias", None) is None
        and not any(getattr(model.config, name, None) for name in CHANGES_LOGITS)
    )
