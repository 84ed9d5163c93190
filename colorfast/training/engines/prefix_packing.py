"""Many replies in few forward passes: replies to one prompt follow it in one row, and none attends
to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from colorfast.models.batching import length_batches
from colorfast.models.prompts import padded

Tokens = Sequence[int]
ROWS_A_PASS = 2
"""A row holds at most a pass's tokens divided by this."""


@dataclass(frozen=True)
class Packed:
    """Rows of tokens for one forward pass, and the place of each reply's tokens.

    `ids`, `positions` [rows, length]; `seen` [rows, 1, length, length], True where a token attends;
    `reads`: flat indices into rows x length where a reply's token is predicted; `targets`: those
    tokens; `reply`, `token`: their reply, and their place in it.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    seen: torch.Tensor
    reads: torch.Tensor
    targets: torch.Tensor
    reply: torch.Tensor
    token: torch.Tensor

    def to(self, device: torch.device) -> Packed:
        """The same on another device."""
        return Packed(**{name: value.to(device) for name, value in vars(self).items()})


def size(row: Sequence[int], prompts: Sequence[Tokens], replies: Sequence[Tokens]) -> int:
    """Tokens of a row: one prompt, and its replies without their last tokens, which predict
    nothing."""
    return len(prompts[row[0]]) + sum(len(replies[i]) - 1 for i in row)


def shared(
    prompts: Sequence[Tokens], replies: Sequence[Tokens], chosen: Sequence[int], limit: int
) -> list[list[int]]:
    """The chosen replies in rows: replies to one prompt share a row of at most `limit` tokens.

    Attention costs the square of a row's length. The limit gives long replies rows of their own,
    and keeps the cost of a step linear in its tokens.
    """
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for i in chosen:
        by_prompt.setdefault(tuple(prompts[i]), []).append(i)
    rows: list[list[int]] = []
    for members in by_prompt.values():
        row: list[int] = []
        for i in members:
            if row and size([*row, i], prompts, replies) > limit:
                rows.append(row)
                row = []
            row.append(i)
        rows.append(row)
    return sorted(rows, key=lambda row: size(row, prompts, replies))


def passes(
    prompts: Sequence[Tokens], replies: Sequence[Tokens], chosen: Sequence[int], tokens: int
) -> list[list[list[int]]]:
    """The chosen replies in rows, the rows in forward passes of at most `tokens` tokens with
    padding (or of one row)."""
    rows = shared(prompts, replies, chosen, tokens // ROWS_A_PASS)
    lengths = [padded(size(row, prompts, replies)) for row in rows]
    return [[rows[k] for k in batch] for batch in length_batches(lengths, tokens)]


def pack(
    rows: Sequence[Sequence[int]], prompts: Sequence[Tokens], replies: Sequence[Tokens]
) -> Packed:
    """The tensors of one forward pass over these rows of replies."""
    length = padded(max(size(row, prompts, replies) for row in rows))
    # token id, position and part of every token; the prompt is part 0, padding part -1
    table = torch.zeros(3, len(rows), length, dtype=torch.long)
    table[2] = -1
    reads: list[int] = []
    entries: list[tuple[int, int, int]] = []
    for r, row in enumerate(rows):
        prompt = prompts[row[0]]
        tokens = [(token, position, 0) for position, token in enumerate(prompt)]
        for part, i in enumerate(row, 1):
            start = r * length + len(tokens)
            reads += [r * length + len(prompt) - 1, *range(start, start + len(replies[i]) - 1)]
            entries += [(token, i, k) for k, token in enumerate(replies[i])]
            tokens += [(t, p, part) for p, t in enumerate(replies[i][:-1], len(prompt))]
        table[:, r, : len(tokens)] = torch.tensor(tokens).T
    ids, positions, parts = table
    targets, reply, token = torch.tensor(entries).T
    return Packed(ids, positions, _seen(parts), torch.tensor(reads), targets, reply, token)


def _seen(parts: torch.Tensor) -> torch.Tensor:
    """A token attends to the prompt (part 0) and to its own part, up to itself; padding attends to
    itself alone."""
    same = parts.unsqueeze(2) == parts.unsqueeze(1)
    prompt = (parts == 0).unsqueeze(1) & (parts >= 0).unsqueeze(2)
    return ((same | prompt).tril() | torch.eye(parts.shape[1], dtype=torch.bool)).unsqueeze(1)
