"""Log-likelihood of choices on a causal LM: what prompts share is computed once, each prompt once
under all its choices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache, PreTrainedModel

from colorfast.models.prompts import Tokens, batches, behind, branch, head

Asked = tuple[Tokens, Sequence[Tokens]]
"""A prompt and the choices that may follow it, as token ids."""

CHOICES_AT_ONCE = 32
"""Rows of longer choices in one forward pass: their logits are [rows, tokens, vocabulary]."""


@torch.no_grad()
def score(model: PreTrainedModel, asked: Sequence[Asked], pad: int) -> list[list[float]]:
    """Natural log-likelihood of each choice after its prompt, summed over the choice's tokens.

    What all prompts share (a system message, few-shot examples) is computed once a call; a choice
    of one token is read from the prompt's own pass.
    """
    header = DynamicCache(config=model.config)
    start = head(model, [prompt for prompt, _ in asked], header)
    totals: list[list[float]] = [[] for _ in asked]
    for batch in batches([prompt for prompt, _ in asked], start):
        for i, row in zip(
            batch, _one_batch(model, [asked[i] for i in batch], header, start, pad), strict=True
        ):
            totals[i] = row
    return totals


def _one_batch(
    model: PreTrainedModel, asked: Sequence[Asked], header: DynamicCache, start: int, pad: int
) -> list[list[float]]:
    cache, mask, logits = behind(model, header, start, [prompt for prompt, _ in asked], pad)
    first = logits.float().log_softmax(-1)
    totals = [
        [float(first[row, choice[0]]) for choice in choices]
        for row, (_, choices) in enumerate(asked)
    ]
    longer = [
        (row, k)
        for row, (_, choices) in enumerate(asked)
        for k, choice in enumerate(choices)
        if len(choice) > 1
    ]
    longer.sort(key=lambda at: len(asked[at[0]][1][at[1]]))
    for begin in range(0, len(longer), CHOICES_AT_ONCE):
        part = longer[begin : begin + CHOICES_AT_ONCE]
        rest = [asked[row][1][k] for row, k in part]
        source = torch.tensor([row for row, _ in part], device=model.device)
        told = _continued(model, cache, source, mask[source], rest, pad)
        for (row, k), value in zip(part, told, strict=True):
            totals[row][k] += value
    return totals


def _continued(
    model: PreTrainedModel,
    cache: DynamicCache,
    source: torch.Tensor,
    mask: torch.Tensor,
    choices: Sequence[Tokens],
    pad: int,
) -> list[float]:
    """Log-likelihood of every token but the first of each choice, after the prompts that stand in
    these rows of the cache."""
    own = branch(cache)
    own.batch_select_indices(source)
    longest = max(map(len, choices))
    rows = torch.tensor(
        [choice + [pad] * (longest - len(choice)) for choice in choices], device=mask.device
    )
    seen = torch.cat([mask, mask.new_ones(len(choices), longest - 1)], dim=1)
    positions = mask.sum(-1, keepdim=True) + torch.arange(longest - 1, device=mask.device)
    logits = model(
        input_ids=rows[:, :-1], attention_mask=seen, position_ids=positions, cache=own
    ).logits
    told = logits.float().log_softmax(-1).gather(-1, rows[:, 1:].unsqueeze(-1)).squeeze(-1)
    return [float(row[: len(choice) - 1].sum()) for row, choice in zip(told, choices, strict=True)]
