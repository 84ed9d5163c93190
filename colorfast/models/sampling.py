"""Sampling on a causal LM: each distinct prompt is computed once, every row draws from its own
stream."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from colorfast.models.prompts import Tokens, read


def uniforms(name: str, n: int) -> list[float]:
    """The `n` draws of one reply, in token order: named, so that the same reply comes again
    anywhere."""
    rng = random.Random(name)
    return [rng.random() for _ in range(n)]


_BLOCK = 128
ROWS = 4
"""Finished replies leave the batch as it shrinks to a multiple of so many rows: few shapes, each of
which oneDNN compiles for."""


def pick(logits: torch.Tensor, draws: torch.Tensor, temperature: float) -> torch.Tensor:
    """One token a row by inverse transform: the first whose cumulative probability exceeds the
    row's draw.

    logits [rows, vocabulary], draws [rows] in [0, 1) -> [rows]. Temperature 0 takes the largest
    logit. The sum runs over blocks first and inside one block then, which is exact and spares a
    scan of the vocabulary.
    """
    if temperature == 0:
        return logits.argmax(-1)
    scaled = logits.float() / temperature
    mass = (scaled - scaled.amax(-1, keepdim=True)).exp_()
    mass = torch.nn.functional.pad(mass, (0, -mass.shape[-1] % _BLOCK)).unflatten(-1, (-1, _BLOCK))
    blocks = mass.sum(-1).double().cumsum(-1)
    target = draws.to(blocks) * blocks[:, -1]
    block = torch.searchsorted(blocks, target.unsqueeze(1), right=True).clamp(
        max=blocks.shape[1] - 1
    )
    before = (blocks - mass.sum(-1).double()).gather(1, block)
    inside = (
        mass.gather(1, block.unsqueeze(-1).expand(-1, -1, _BLOCK)).squeeze(1).double().cumsum(-1)
    )
    left = (target.unsqueeze(1) - before).clamp(min=0).minimum(inside[:, -1:] * (1 - 1e-12))
    return (
        (block * _BLOCK + torch.searchsorted(inside, left, right=True))
        .squeeze(1)
        .clamp(max=logits.shape[-1] - 1)
    )


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[Tokens],
    draws: torch.Tensor,
    temperature: float,
    stops: Sequence[int],
    pad: int,
) -> list[Tokens]:
    """A completion for each row of `draws` [rows, max_tokens], ending with a stop token or at
    max_tokens.

    `prompts` holds one list of ids for each row. Runs of equal neighbours are computed once;
    finished rows leave the batch.
    """
    device = model.device
    if not prompts:
        return []
    firsts = [i for i, p in enumerate(prompts) if i == 0 or p != prompts[i - 1]]
    repeats = torch.tensor(
        [b - a for a, b in zip(firsts, [*firsts[1:], len(prompts)], strict=True)], device=device
    )
    cache, mask, logits = read(model, [prompts[i] for i in firsts], pad, draws.shape[1])
    if len(firsts) < len(prompts):
        source = torch.repeat_interleave(torch.arange(len(firsts), device=device), repeats)
        cache.batch_select_indices(source)
        mask, logits = mask[source], logits[source]

    draws = draws.to(device)
    completions: list[Tokens] = [[] for _ in prompts]
    live = torch.arange(len(prompts), device=device)
    running = torch.ones(len(prompts), dtype=torch.bool, device=device)
    ends = torch.tensor(list(stops), device=device)
    for t in range(draws.shape[1]):
        token = pick(logits, draws[live, t], temperature)
        for row, value, on in zip(live.tolist(), token.tolist(), running.tolist(), strict=True):
            if on:
                completions[row].append(value)
        running &= ~torch.isin(token, ends)
        if t + 1 == draws.shape[1] or not running.any():
            break
        if (room := -(-int(running.sum()) // ROWS) * ROWS) < len(live):
            kept = running.int().argsort(descending=True, stable=True)[:room].sort().values
            cache.batch_select_indices(kept)
            live, token, mask, running = live[kept], token[kept], mask[kept], running[kept]
        position = mask.sum(-1, keepdim=True)
        mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
        out = model(
            input_ids=token.unsqueeze(1),
            attention_mask=mask,
            position_ids=position,
            cache=cache,
            logits_to_keep=1,
        )
        logits = out.logits[:, -1]
    return completions
