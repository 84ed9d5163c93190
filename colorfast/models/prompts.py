"""Forward passes of prompts through a causal LM: a shared prefix is computed once, the rest in
batches of similar length.

Prompts are padded on the left with token 0, which nothing attends to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from transformers import DynamicCache, PreTrainedModel

from colorfast.models.batching import length_batches
from colorfast.models.kv_cache import RoomyLayer, branch, forward, new_cache

Tokens = list[int]
BATCH_TOKENS = 512
"""Tokens in one forward pass of prompts: enough to keep the matrix units busy, few enough for a
CPU's caches (2,048 took up to half as long again). It is a constant, so that an item's numbers do
not depend on the batch size that a user sets."""

STRIDE, SHORT_STRIDE = 32, 8
"""Lengths are padded to multiples of these. oneDNN keeps compiled code for every shape it has met,
some 10 MB a shape and pass in training. Prompts need no gradient and use the short stride: many
have 20 to 40 tokens of their own."""


class Prefill(NamedTuple):
    """A forward pass of prompts: the cache, its mask [prompts, longest], the model's output."""

    cache: DynamicCache
    mask: torch.Tensor
    out: Any


class Prefix(NamedTuple):
    """The cache of the first tokens that all prompts share, and their number."""

    cache: DynamicCache
    length: int


def padded(length: int, stride: int = STRIDE) -> int:
    """The length, rounded up to a multiple of `stride`."""
    return -(-length // stride) * stride


def shared_prefix(prompts: Sequence[Tokens]) -> int:
    """How many first tokens all prompts share, leaving each prompt at least one of its own; 0 for a
    single prompt."""
    if len(prompts) < 2:
        return 0
    low, high = min(prompts), max(prompts)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return min(same, min(map(len, prompts)) - 1)


def batches(prompts: Sequence[Tokens], start: int) -> list[list[int]]:
    """Indices of prompts in batches of similar length, about BATCH_TOKENS without their first
    `start` tokens."""
    return list(length_batches([len(prompt) - start for prompt in prompts], BATCH_TOKENS))


def read_prefix(
    model: PreTrainedModel, prompts: Sequence[Tokens], room: int | None = None
) -> Prefix:
    """One forward pass of the tokens that all prompts share; `room`: see `new_cache`."""
    prefix = Prefix(new_cache(model, room), shared_prefix(prompts))
    if prefix.length:
        ids = torch.tensor([prompts[0][: prefix.length]], device=model.device)
        positions = torch.arange(prefix.length, device=model.device).unsqueeze(0)
        forward(model, prefix.cache, ids, torch.ones_like(ids), positions)
    return prefix


def prefill(
    model: PreTrainedModel, prefix: Prefix, prompts: Sequence[Tokens], **options: Any
) -> Prefill:
    """One forward pass of prompts that begin with `prefix`; the output holds the logits of the next
    token. `options` go to the model."""
    cache = branch(prefix.cache)
    if prefix.length:
        cache.batch_select_indices(torch.zeros(len(prompts), dtype=torch.long, device=model.device))
    rows = [prompt[prefix.length :] for prompt in prompts]
    longest = padded(max(map(len, rows)), SHORT_STRIDE)
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows], device=model.device)
    own = torch.tensor(
        [[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=model.device
    )
    mask = torch.cat([own.new_ones(len(prompts), prefix.length), own], dim=1)
    positions = (mask.cumsum(-1) - 1)[:, prefix.length :].clamp(min=0)
    return Prefill(cache, mask, forward(model, cache, ids, mask, positions, **options))


def continued(
    model: PreTrainedModel,
    read: Prefill,
    source: Sequence[int],
    rows: Sequence[Tokens],
    **options: Any,
) -> Any:
    """The model's output for rows of tokens, row i after prompt `source[i]` of `read`, padded on
    the right. `options` go to the model."""
    device = model.device
    index = torch.tensor(source, device=device)
    cache = branch(read.cache)
    cache.batch_select_indices(index)
    before = read.mask[index]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    mask = torch.cat([before, before.new_ones(len(rows), longest)], dim=1)
    positions = before.sum(-1, keepdim=True) + torch.arange(longest, device=device)
    return forward(model, cache, ids, mask, positions, **options)


@torch.no_grad()
def read_all(
    model: PreTrainedModel, prompts: Sequence[Tokens], room: int
) -> tuple[DynamicCache, torch.Tensor, torch.Tensor]:
    """All prompts in one cache for decoding up to `room` tokens, computed batch by batch: (cache,
    mask [prompts, longest], logits of the next token [prompts, vocabulary])."""
    cache = new_cache(model, room)
    if not all(type(layer) is RoomyLayer for layer in cache.layers):
        read = prefill(model, Prefix(cache, 0), prompts)
        return read.cache, read.mask, read.out.logits[:, -1]
    prefix = read_prefix(model, prompts, room=0)
    longest = prefix.length + padded(max(map(len, prompts)) - prefix.length, SHORT_STRIDE)
    mask = torch.zeros(len(prompts), longest, dtype=torch.long, device=model.device)
    logits: list[torch.Tensor] = []
    order: list[int] = []
    for batch in batches(prompts, prefix.length):
        read = prefill(model, prefix, [prompts[i] for i in batch])
        mask[batch, longest - read.mask.shape[1] :] = read.mask
        for layer, piece in zip(cache.layers, read.cache.layers, strict=True):
            layer.take(piece, batch, mask.shape)
        logits.append(read.out.logits[:, -1])
        order += batch
    return cache, mask, torch.cat(logits)[torch.tensor(order, device=model.device).argsort()]
