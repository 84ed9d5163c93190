"""An output layer that tells the log-probabilities of the tokens that are wanted, and never holds
the logits of others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import nn

from colorfast.models.prompts import STRIDE


class _LogProbs(torch.autograd.Function):
    """log softmax(hidden W^T / T) at the targets, and the entropy there.

    With p the probabilities and g the gradient of a log-probability, d hidden = g (W[target] - p W)
    / T and d W = (onehot - p)^T (g hidden) / T: one product more in the forward pass, p W, also
    gives the entropy, and the backward pass needs no pass of its own over the vocabulary.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, heat: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.heat, ctx.dtype = heat, weight.dtype
        weight = weight.to(hidden.dtype)
        logits = ((hidden / heat if heat != 1 else hidden) @ weight.T).float()
        wanted = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
        top = logits.amax(1, keepdim=True)
        mass = logits.sub_(top).exp_()
        total = mass.sum(1, keepdim=True)
        chances = mass.div_(total).to(hidden.dtype)
        whole = (top + total.log()).squeeze(1)
        mean = chances @ weight
        ctx.save_for_backward(
            hidden,
            weight,
            targets,
            chances if ctx.needs_input_grad[1] else hidden.new_empty(0),
            mean,
        )
        entropies = whole - (mean * hidden).float().sum(1) / heat
        ctx.mark_non_differentiable(entropies)
        return wanted - whole, entropies

    @staticmethod
    def backward(
        ctx: Any, *grads: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, None, None]:
        hidden, weight, targets, chances, mean = ctx.saved_tensors
        g = (grads[0] / ctx.heat).to(hidden.dtype).unsqueeze(1)
        to_weight = None
        if ctx.needs_input_grad[1]:
            weighed = g * hidden
            to_weight = (chances.T @ -weighed).index_add_(0, targets, weighed).to(ctx.dtype)
        return g * (weight[targets] - mean), to_weight, None, None


@contextlib.contextmanager
def telling(
    head: nn.Module, reads: torch.Tensor, targets: torch.Tensor, heat: float
) -> Iterator[None]:
    """Inside, the output layer returns [1, 2, wanted]: log-probabilities at temperature `heat` and
    entropies, both in nats, of `targets` [wanted] after the positions `reads` (flat, over rows and
    positions)."""

    more = -len(reads) % STRIDE

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        rows, wanted = (torch.cat([x, x[:1].expand(more)]) for x in (reads, targets))
        # A prompt's last token is read once per reply. The gradient of `[rows]` adds repeats by
        # atomic operations, in another order each time; that of `index_select` adds them in order.
        read = hidden.flatten(0, 1).index_select(0, rows)
        told = torch.stack(_LogProbs.apply(read, head.weight, wanted, heat))
        return told[:, : len(reads)].unsqueeze(0)

    setattr(head, "forward", forward)  # noqa: B010 (shadows the class's method)
    try:
        yield
    finally:
        del head.forward


def tells(model: nn.Module) -> bool:
    """Is the model's output layer a plain product, and nothing done to its logits afterwards?"""
    head, config = cast(Any, model).get_output_embeddings(), cast(Any, model).config
    after = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
    return (
        type(head) is nn.Linear
        and cast(Any, head).bias is None
        and not any(getattr(config, name, None) for name in after)
    )
