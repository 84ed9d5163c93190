"""Prompts through a causal LM: what they share is computed once, the rest in batches of like
length."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

Tokens = list[int]
BATCH_TOKENS = 512
"""Tokens in one forward pass of prompts, about: enough to keep the matrix units busy, few enough
for the CPU's caches (2,048 took up to half as long again). Being no setting, it makes an item's
numbers the same whatever batch size a user asks for."""

STRIDE, SHORT_STRIDE = 32, 8
"""Lengths are padded to multiples of so many tokens, since oneDNN keeps what it compiled for every
shape it has met: some 10 MB a shape and pass in training. Prompts, which need no gradient, are
padded to the short one: many have 20 to 40 tokens of their own."""


def padded(length: int, stride: int = STRIDE) -> int:
    """The length, rounded up to the next multiple of `stride`."""
    return -(-length // stride) * stride


def shared_prefix(prompts: Sequence[Tokens]) -> int:
    """How many first tokens all prompts share, leaving each prompt at least one of its own; 0 for a
    single prompt."""
    if len(prompts) < 2:
        return 0
    low, high = min(prompts), max(prompts)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return min(same, min(map(len, prompts)) - 1)


def batches(prompts: Sequence[Tokens], start: int) -> Iterator[list[int]]:
    """Indices in batches of prompts of like length, about BATCH_TOKENS behind the first `start`
    tokens that all share."""
    part: list[int] = []
    for i in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
        if part and (len(part) + 1) * (len(prompts[i]) - start) > BATCH_TOKENS:
            yield part
            part = []
        part.append(i)
    if part:
        yield part


def left_padded(
    rows: Sequence[Tokens], pad: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask), both [rows, longest, rounded up], padded on the left."""
    longest = padded(max(map(len, rows)), SHORT_STRIDE)
    ids = torch.tensor([[pad] * (longest - len(r)) + r for r in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(r)) + [1] * len(r) for r in rows], device=device)
    return ids, mask


def branch(cache: DynamicCache) -> DynamicCache:
    """A cache that goes its own way from here: layers replace their tensors and never write into
    them, so none is copied."""
    own = copy.copy(cache)
    own.layers = [copy.copy(layer) for layer in cache.layers]
    return own


class RoomyLayer(DynamicLayer):
    """A cache layer that writes into room kept for it, where the library's joins whole tensors for
    every token. `room`: how many tokens it keeps room for beyond the first that it is given."""

    room = 0
    held = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states [rows, heads, new, width]; returns views of all that is held."""
        start, self.held = self.held, self.held + key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.kept = [
                x.new_empty(*x.shape[:2], self.held + self.room, x.shape[-1])
                for x in (key_states, value_states)
            ]
        if self.kept[0].shape[2] < self.held:
            more = max(self.kept[0].shape[2], self.held - self.kept[0].shape[2])
            self.kept = [
                torch.cat([x, x.new_empty(*x.shape[:2], more, x.shape[-1])], dim=2)
                for x in self.kept
            ]
        for kept, new in zip(self.kept, (key_states, value_states), strict=True):
            kept[:, :, start : self.held] = new
        self.keys, self.values = (x[:, :, : self.held] for x in self.kept)
        return self.keys, self.values

    def take(self, piece: RoomyLayer, rows: Sequence[int], shape: tuple[int, int]) -> None:
        """Put the states of some rows, which end where all end, into a cache of this shape [rows,
        tokens]."""
        if not self.is_initialized:
            self.lazy_initialization(piece.keys, piece.values)
            self.held = shape[1]
            # zeros: what no one attends to must still be a number
            self.kept = [
                x.new_zeros(shape[0], x.shape[1], self.held + self.room, x.shape[-1])
                for x in (piece.keys, piece.values)
            ]
        for kept, new in zip(self.kept, (piece.keys, piece.values), strict=True):
            kept[rows, :, self.held - new.shape[2] : self.held] = new
        self.keys, self.values = (x[:, :, : self.held] for x in self.kept)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows, in this order (a row may come more than once)."""
        self.kept = [x[indices] for x in self.kept]
        self.keys, self.values = (x[:, :, : self.held] for x in self.kept)


def is_plain(model: PreTrainedModel) -> bool:
    """Does every layer attend to all that came before (no sliding window, no recurrent state)?"""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)


def roomy_cache(model: PreTrainedModel, room: int) -> DynamicCache:
    """A cache for decoding `room` tokens; models with sliding windows keep the library's own
    layers."""
    cache = DynamicCache(config=model.config)
    if is_plain(model):
        layers = [RoomyLayer() for _ in cache.layers]
        for layer in layers:
            layer.room = room
        cache.layers = layers
    return cache


def behind(
    model: PreTrainedModel, header: DynamicCache, start: int, prompts: Sequence[Tokens], pad: int
) -> tuple[DynamicCache, torch.Tensor, torch.Tensor]:
    """One forward pass of prompts whose first `start` tokens `header` holds: (cache, mask [prompts,
    longest], logits of the next token [prompts, vocabulary])."""
    cache = branch(header)
    if start:
        cache.batch_select_indices(torch.zeros(len(prompts), dtype=torch.long, device=model.device))
    ids, own = left_padded([prompt[start:] for prompt in prompts], pad, model.device)
    mask = torch.cat([own.new_ones(len(prompts), start), own], dim=1)
    positions = (mask.cumsum(-1) - 1)[:, start:].clamp(min=0)
    out = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, cache=cache, logits_to_keep=1
    )
    return cache, mask, out.logits[:, -1]


def head(model: PreTrainedModel, prompts: Sequence[Tokens], cache: DynamicCache) -> int:
    """Put what all prompts share into the cache; returns how many tokens that is."""
    start = shared_prefix(prompts)
    if start:
        model(
            input_ids=torch.tensor([prompts[0][:start]], device=model.device),
            cache=cache,
            logits_to_keep=1,
        )
    return start


@torch.no_grad()
def read(
    model: PreTrainedModel, prompts: Sequence[Tokens], pad: int, room: int
) -> tuple[DynamicCache, torch.Tensor, torch.Tensor]:
    """As `behind`, for decoding up to `room` tokens: any prompts, batch by batch, in one cache."""
    cache, header = roomy_cache(model, room), roomy_cache(model, 0)
    if not all(type(layer) is RoomyLayer for layer in cache.layers):
        return behind(model, header, 0, prompts, pad)
    start = head(model, prompts, header)
    longest = start + padded(max(map(len, prompts)) - start, SHORT_STRIDE)
    mask = torch.zeros(len(prompts), longest, dtype=torch.long, device=model.device)
    logits: list[torch.Tensor] = []
    order: list[int] = []
    for batch in batches(prompts, start):
        part, seen, told = behind(model, header, start, [prompts[i] for i in batch], pad)
        mask[batch, longest - seen.shape[1] :] = seen
        for whole, piece in zip(cache.layers, part.layers, strict=True):
            whole.take(piece, batch, mask.shape)
        logits.append(told)
        order += batch
    return cache, mask, torch.cat(logits)[torch.tensor(order, device=model.device).argsort()]
