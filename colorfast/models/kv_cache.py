"""Adapter of transformers' key-value cache: a layer with spare room, and caches that branch.

Everything that depends on how `DynamicCache` works inside is here. Models whose layers are not all
plain `DynamicLayer`s use the library's own cache.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedModel
from transformers.cache_utils import DynamicLayer

_HAS_CACHE = "cache" in inspect.signature(LlamaForCausalLM.forward).parameters
CACHE_ARGUMENT = "cache" if _HAS_CACHE else "past_key_values"
"""What models call their cache; transformers renamed it in 5.24."""


class RoomyLayer(DynamicLayer):
    """A cache layer that writes into spare room. The library's layer copies all its states for
    every new token. `room`: tokens of spare room beyond the first states."""

    room = 0
    length = 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states [rows, heads, new, width]; returns views of all states."""
        start, self.length = self.length, self.length + key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.buffers = [
                x.new_empty(*x.shape[:2], self.length + self.room, x.shape[-1])
                for x in (key_states, value_states)
            ]
        capacity = self.buffers[0].shape[2]
        if capacity < self.length:
            more = max(capacity, self.length - capacity)
            self.buffers = [
                torch.cat([x, x.new_empty(*x.shape[:2], more, x.shape[-1])], dim=2)
                for x in self.buffers
            ]
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, start : self.length] = new
        return self._views()

    def take(self, piece: RoomyLayer, rows: Sequence[int], shape: tuple[int, int]) -> None:
        """Copy the states of `piece` into `rows` of a cache of this shape [rows, tokens], aligned
        at the last token."""
        if not self.is_initialized:
            self.lazy_initialization(piece.keys, piece.values)
            self.length = shape[1]
            # zeros, because padding must be a number although nothing attends to it
            self.buffers = [
                x.new_zeros(shape[0], x.shape[1], self.length + self.room, x.shape[-1])
                for x in (piece.keys, piece.values)
            ]
        for buffer, new in zip(self.buffers, (piece.keys, piece.values), strict=True):
            buffer[rows, :, self.length - new.shape[2] : self.length] = new
        self._views()

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows, in this order; a row may be repeated."""
        self.buffers = [x[indices] for x in self.buffers]
        self._views()

    def _views(self) -> tuple[torch.Tensor, torch.Tensor]:
        self.keys, self.values = (x[:, :, : self.length] for x in self.buffers)
        return self.keys, self.values


def is_plain(model: PreTrainedModel) -> bool:
    """Whether every layer attends to all earlier tokens: no sliding window, no recurrent state."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)


def new_cache(model: PreTrainedModel, room: int | None = None) -> DynamicCache:
    """An empty cache. With `room` it has roomy layers for `room` decoded tokens, if the model is
    plain."""
    cache = DynamicCache(config=model.config)
    if room is not None and is_plain(model):
        cache.layers = [RoomyLayer() for _ in cache.layers]
        for layer in cache.layers:
            layer.room = room
    return cache


def branch(cache: DynamicCache) -> DynamicCache:
    """A cache that grows on its own from here. Layers replace their tensors and never write into
    them, so no tensor is copied."""
    own = copy.copy(cache)
    own.layers = [copy.copy(layer) for layer in cache.layers]
    return own


def forward(
    model: PreTrainedModel,
    cache: DynamicCache,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    **options: Any,
) -> Any:
    """The model's output for `ids` [rows, new] after what `cache` holds; only the last position has
    logits, unless `options` set `logits_to_keep`. `mask` [rows, all tokens]."""
    return model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        **{CACHE_ARGUMENT: cache, "logits_to_keep": 1} | options,
    )
