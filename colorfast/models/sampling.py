"""Sampling on a causal LM: each distinct prompt is computed once, and every row draws from its own
random stream."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import torch
from transformers import DynamicCache, PreTrainedModel

from colorfast.models.kv_cache import forward
from colorfast.models.prompts import Tokens, padded, read_all

BLOCK = 128
ROWS = 4
"""Finished replies leave the batch as it shrinks to a multiple of this many rows, because oneDNN
compiles code for every shape."""


def uniforms(name: str, n: int) -> list[float]:
    """The `n` draws of the reply `name`, in [0, 1), in token order."""
    rng = random.Random(name)
    return [rng.random() for _ in range(n)]


def pick(logits: torch.Tensor, draws: torch.Tensor, temperature: float) -> torch.Tensor:
    """One token a row by inverse transform: the first whose cumulative probability exceeds the
    row's draw.

    logits [rows, vocabulary], draws [rows] in [0, 1) -> [rows]. Temperature 0 takes the largest
    logit. Sums run over blocks first and then inside one block, which is exact and avoids a scan of
    the whole vocabulary.
    """
    if temperature == 0:
        return logits.argmax(-1)
    scaled = logits.float() / temperature
    mass = (scaled - scaled.amax(-1, keepdim=True)).exp_()
    mass = torch.nn.functional.pad(mass, (0, -mass.shape[-1] % BLOCK)).unflatten(-1, (-1, BLOCK))
    sums = mass.sum(-1).double()
    blocks = sums.cumsum(-1)
    target = (draws.to(blocks) * blocks[:, -1]).unsqueeze(1)
    block = torch.searchsorted(blocks, target, right=True).clamp(max=blocks.shape[1] - 1)
    before = (blocks - sums).gather(1, block)
    chosen = mass.gather(1, block.unsqueeze(-1).expand(-1, -1, BLOCK)).squeeze(1)
    inside = chosen.double().cumsum(-1)
    left = (target - before).clamp(min=0).minimum(inside[:, -1:] * (1 - 1e-12))
    token = block * BLOCK + torch.searchsorted(inside, left, right=True)
    return token.squeeze(1).clamp(max=logits.shape[-1] - 1)


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[Tokens],
    draws: torch.Tensor,
    temperature: float,
    stops: Sequence[int],
) -> list[Tokens]:
    """A completion for each prompt; row i uses `draws[i]` [max_tokens] and ends with a stop token
    or at max_tokens. Finished rows leave the batch."""
    if not prompts:
        return []
    device, max_tokens = model.device, draws.shape[1]
    cache, mask, logits = _read_runs(model, prompts, max_tokens)
    draws = draws.to(device)
    completions: list[Tokens] = [[] for _ in prompts]
    live = torch.arange(len(prompts), device=device)
    running = torch.ones(len(prompts), dtype=torch.bool, device=device)
    ends = torch.tensor(list(stops), device=device)
    for t in range(max_tokens):
        token = pick(logits, draws[live, t], temperature)
        for row, value in zip(live[running].tolist(), token[running].tolist(), strict=True):
            completions[row].append(value)
        running &= ~torch.isin(token, ends)
        if t + 1 == max_tokens or not running.any():
            break
        rows = padded(int(running.sum()), ROWS)
        if rows < len(live):
            kept = running.int().argsort(descending=True, stable=True)[:rows].sort().values
            cache.batch_select_indices(kept)
            live, token, mask, running = live[kept], token[kept], mask[kept], running[kept]
        position = mask.sum(-1, keepdim=True)
        mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
        ids = token.unsqueeze(1)
        logits = forward(model, cache, ids, mask, position).logits[:, -1]
    return completions


def _read_runs(
    model: PreTrainedModel, prompts: Sequence[Tokens], room: int
) -> tuple[DynamicCache, torch.Tensor, torch.Tensor]:
    """As `read_all`; runs of equal neighbors are computed once."""
    runs = [(prompt, len(list(run))) for prompt, run in itertools.groupby(prompts)]
    cache, mask, logits = read_all(model, [prompt for prompt, _ in runs], room)
    if len(runs) == len(prompts):
        return cache, mask, logits
    repeats = torch.tensor([n for _, n in runs], device=model.device)
    source = torch.repeat_interleave(torch.arange(len(runs), device=model.device), repeats)
    cache.batch_select_indices(source)
    return cache, mask[source], logits[source]
