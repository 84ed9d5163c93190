"""Log-likelihood of choices on a causal LM: a shared prefix is computed once, and each prompt once
for all its choices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from colorfast.models.prompts import Prefix, Tokens, batches, continued, prefill, read_prefix

Question = tuple[Tokens, Sequence[Tokens]]
"""A prompt and the choices that may follow it, as token ids."""

CHOICES_AT_ONCE = 32
"""Rows of longer choices in one forward pass: their logits are [rows, tokens, vocabulary]."""


@torch.no_grad()
def score(model: PreTrainedModel, questions: Sequence[Question]) -> list[list[float]]:
    """Natural log-likelihood of each choice after its prompt, summed over the choice's tokens.

    What all prompts share (a system message, few-shot examples) is computed once a call; a choice
    of one token is read from the prompt's own pass.
    """
    prompts = [prompt for prompt, _ in questions]
    prefix = read_prefix(model, prompts)
    totals: dict[int, list[float]] = {}
    for batch in batches(prompts, prefix.length):
        scores = _score_batch(model, prefix, [questions[i] for i in batch])
        totals |= zip(batch, scores, strict=True)
    return [totals[i] for i in range(len(questions))]


def _score_batch(
    model: PreTrainedModel, prefix: Prefix, questions: Sequence[Question]
) -> list[list[float]]:
    read = prefill(model, prefix, [prompt for prompt, _ in questions])
    first = read.out.logits[:, -1].float().log_softmax(-1)
    totals: list[list[float]] = []
    longer: list[tuple[int, int, Tokens]] = []
    for row, (_, choices) in enumerate(questions):
        totals.append([float(first[row, choice[0]]) for choice in choices])
        longer += [(row, k, choice) for k, choice in enumerate(choices) if len(choice) > 1]
    longer.sort(key=lambda entry: len(entry[2]))
    for begin in range(0, len(longer), CHOICES_AT_ONCE):
        part = longer[begin : begin + CHOICES_AT_ONCE]
        rows = [row for row, _, _ in part]
        out = continued(model, read, rows, [choice[:-1] for *_, choice in part], logits_to_keep=0)
        logps = out.logits.float().log_softmax(-1)
        for (row, k, choice), own in zip(part, logps, strict=True):
            rest = torch.tensor(choice[1:], device=own.device)
            totals[row][k] += float(own[: len(rest)].gather(-1, rest.unsqueeze(-1)).sum())
    return totals
