"""The residual stream of a causal LM while it reads a conversation and says a reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from colorfast.models import Conversation
from colorfast.models.batching import length_batches
from colorfast.models.cpu_linear import packed_linears
from colorfast.models.kv_cache import new_cache
from colorfast.models.local import PACKED_ROWS, LocalPolicy
from colorfast.models.prompts import (
    BATCH_TOKENS,
    Prefill,
    Prefix,
    Tokens,
    batches,
    continued,
    prefill,
)

Activations = npt.NDArray[np.float32]
"""[pairs, layers, width]. Layers are counted as transformers counts hidden states: 0 is the
embeddings, k the output of block k, the last one comes after the final norm."""


@torch.no_grad()
def activations(
    policy: LocalPolicy, pairs: Sequence[tuple[Conversation, str]], advance: Callable[[int], None]
) -> tuple[Activations, Activations]:
    """Activations at the last token of each pair's prompt, and their mean over the tokens of its
    reply (NaN for an empty reply).

    A prompt that several pairs share is computed once. Calls `advance` with the number of pairs
    that are done.
    """
    model = policy.model.eval()
    members: dict[tuple[int, ...], list[int]] = {}
    for i, (conversation, _) in enumerate(pairs):
        members.setdefault(tuple(policy.encode(conversation)), []).append(i)
    prompts = [list(prompt) for prompt in members]
    pairs_of = list(members.values())
    replies = [policy.spoken(reply) if reply.strip() else [] for _, reply in pairs]
    last: dict[int, Activations] = {}
    means: dict[int, Activations] = {}
    with packed_linears(model, PACKED_ROWS):
        for batch in batches(prompts, 0):
            prefix = Prefix(new_cache(model), 0)
            read = prefill(model, prefix, [prompts[p] for p in batch], output_hidden_states=True)
            at_end = _stacked([h[:, -1] for h in read.out.hidden_states])
            row_of = {i: row for row, p in enumerate(batch) for i in pairs_of[p]}
            last |= {i: at_end[row] for i, row in row_of.items()}
            spoken = [i for i in row_of if replies[i]]
            for part in length_batches([len(replies[i]) for i in spoken], BATCH_TOKENS):
                chosen = [spoken[k] for k in part]
                rows = [row_of[i] for i in chosen]
                own = _reply_means(model, read, rows, [replies[i] for i in chosen])
                means |= zip(chosen, own, strict=True)
            advance(len(row_of))
    nothing = np.full_like(last[0], np.nan)
    return (
        np.stack([last[i] for i in range(len(pairs))]),
        np.stack([means.get(i, nothing) for i in range(len(pairs))]),
    )


def _reply_means(
    model: Any, read: Prefill, rows: Sequence[int], replies: Sequence[Tokens]
) -> Activations:
    """Mean activations over each reply's tokens, after the prompt in its row of `read`."""
    out = continued(model, read, rows, replies, output_hidden_states=True)
    lengths = torch.tensor([len(reply) for reply in replies], device=model.device)
    own = torch.arange(int(lengths.max()), device=model.device) < lengths.unsqueeze(1)
    weights = own.float() / lengths.unsqueeze(1)
    return _stacked([torch.einsum("rt,rtw->rw", weights, h.float()) for h in out.hidden_states])


def _stacked(layers: Sequence[torch.Tensor]) -> Activations:
    """Layers of [rows, width] as one array [rows, layers, width]."""
    return torch.stack(list(layers), 1).float().cpu().numpy()
