"""Log-likelihood of choices on a causal LM: what prompts share is computed once, each prompt once under all its choices."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from transformers import DynamicCache, PreTrainedModel

from colorfast.policies.sampling import Tokens, left_padded

Asked = tuple[Tokens, Sequence[Tokens]]
"""A prompt and the choices that may follow it, as token ids."""

BATCH_TOKENS = 2048
"""Tokens in one forward pass of prompts, about: enough to keep the matrix units busy, few enough for the CPU's caches. Being no
setting, it makes an item's numbers the same whatever batch size a user asks for."""
CHOICES_AT_ONCE = 32
"""Rows of longer choices in one forward pass: their logits are [rows, tokens, vocabulary]."""


def shared_prefix(prompts: Sequence[Tokens]) -> int:
    """How many first tokens all prompts share, leaving each prompt at least one of its own; 0 for a single prompt."""
    if len(prompts) < 2:
        return 0
    low, high = min(prompts), max(prompts)
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return min(same, min(map(len, prompts)) - 1)


def batches(asked: Sequence[Asked], start: int) -> Iterator[list[int]]:
    """Indices in batches of prompts of like length, about BATCH_TOKENS behind the first `start` tokens that all share."""
    part: list[int] = []
    for i in sorted(range(len(asked)), key=lambda i: len(asked[i][0])):
        if part and (len(part) + 1) * (len(asked[i][0]) - start) > BATCH_TOKENS:
            yield part
            part = []
        part.append(i)
    if part:
        yield part


@torch.no_grad()
def score(model: PreTrainedModel, asked: Sequence[Asked], pad: int) -> list[list[float]]:
    """Natural log-likelihood of each choice after its prompt, summed over the choice's tokens.

    What all prompts share (a system message, few-shot examples) is computed once a call; a choice of one token is read from
    the prompt's own pass.
    """
    start = shared_prefix([prompt for prompt, _ in asked])
    header = DynamicCache(config=model.config)
    if start:
        model(input_ids=torch.tensor([asked[0][0][:start]], device=model.device), cache=header, logits_to_keep=1)
    totals: list[list[float]] = [[] for _ in asked]
    for batch in batches(asked, start):
        for i, row in zip(batch, _one_batch(model, [asked[i] for i in batch], header, start, pad), strict=True):
            totals[i] = row
    return totals


def branch(cache: DynamicCache) -> DynamicCache:
    """A cache that goes its own way from here: layers replace their tensors and never write into them, so none is copied."""
    own = copy.copy(cache)
    own.layers = [copy.copy(layer) for layer in cache.layers]
    return own


def _one_batch(model: PreTrainedModel, asked: Sequence[Asked], header: DynamicCache, start: int, pad: int) -> list[list[float]]:
    device = model.device
    cache = branch(header)
    if start:
        cache.batch_repeat_interleave(len(asked))
    ids, own = left_padded([prompt[start:] for prompt, _ in asked], pad, device)
    mask = torch.cat([own.new_ones(len(asked), start), own], dim=1)
    positions = (mask.cumsum(-1) - 1)[:, start:].clamp(min=0)
    out = model(input_ids=ids, attention_mask=mask, position_ids=positions, cache=cache, logits_to_keep=1)
    first = out.logits[:, -1].float().log_softmax(-1)
    totals = [[float(first[row, choice[0]]) for choice in choices] for row, (_, choices) in enumerate(asked)]
    longer = [(row, k) for row, (_, choices) in enumerate(asked) for k, choice in enumerate(choices) if len(choice) > 1]
    longer.sort(key=lambda at: len(asked[at[0]][1][at[1]]))
    for begin in range(0, len(longer), CHOICES_AT_ONCE):
        part = longer[begin : begin + CHOICES_AT_ONCE]
        rest = [asked[row][1][k] for row, k in part]
        source = torch.tensor([row for row, _ in part], device=device)
        told = _continued(model, cache, source, mask[source], rest, pad)
        for (row, k), value in zip(part, told, strict=True):
            totals[row][k] += value
    return totals


def _continued(
    model: PreTrainedModel, cache: DynamicCache, source: torch.Tensor, mask: torch.Tensor, choices: Sequence[Tokens], pad: int
) -> list[float]:
    """Log-likelihood of every token but the first of each choice, after the prompts that stand in these rows of the cache."""
    own = branch(cache)
    own.batch_select_indices(source)
    longest = max(map(len, choices))
    rows = torch.tensor([choice + [pad] * (longest - len(choice)) for choice in choices], device=mask.device)
    seen = torch.cat([mask, mask.new_ones(len(choices), longest - 1)], dim=1)
    positions = mask.sum(-1, keepdim=True) + torch.arange(longest - 1, device=mask.device)
    logits = model(input_ids=rows[:, :-1], attention_mask=seen, position_ids=positions, cache=own).logits
    told = logits.float().log_softmax(-1).gather(-1, rows[:, 1:].unsqueeze(-1)).squeeze(-1)
    return [float(row[: len(choice) - 1].sum()) for row, choice in zip(told, choices, strict=True)]
