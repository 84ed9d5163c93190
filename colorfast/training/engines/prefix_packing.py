"""Many replies in few forward passes: replies to one prompt stand behind it in one row, and none
sees another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from colorfast.models.prompts import padded

Tokens = Sequence[int]
ROWS_A_PASS = 2
"""A row holds at most this part of a pass."""


@dataclass(frozen=True)
class Packed:
    """Rows of tokens for one forward pass, and where the answers stand.

    `ids`, `positions` [rows, length]; `seen` [rows, 1, length, length], True where a token attends;
    `reads`: flat indices into rows x length at which a wanted token is predicted; `targets` those
    tokens; `reply`, `place` which reply and which of its tokens.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    seen: torch.Tensor
    reads: torch.Tensor
    targets: torch.Tensor
    reply: torch.Tensor
    place: torch.Tensor

    def to(self, device: torch.device) -> Packed:
        return Packed(**{name: value.to(device) for name, value in vars(self).items()})


def size(row: Sequence[int], prompts: Sequence[Tokens], replies: Sequence[Tokens]) -> int:
    """Tokens of a row: one prompt, and its replies without their last tokens, which predict
    nothing."""
    return len(prompts[row[0]]) + sum(len(replies[i]) - 1 for i in row)


def shared(
    prompts: Sequence[Tokens], replies: Sequence[Tokens], chosen: Sequence[int], limit: int
) -> list[list[int]]:
    """Which of the chosen replies share a row: those to one prompt, as many as make up `limit`
    tokens. Shortest rows first.

    A row's attention costs the square of its length, so long replies to one prompt get rows of
    their own, and the cost of a step stays linear in its tokens.
    """
    asked: dict[tuple[int, ...], list[int]] = {}
    for i in chosen:
        asked.setdefault(tuple(prompts[i]), []).append(i)
    found: list[list[int]] = []
    for together in asked.values():
        found.append([])
        for i in together:
            if found[-1] and size([*found[-1], i], prompts, replies) > limit:
                found.append([])
            found[-1].append(i)
    return sorted(found, key=lambda row: size(row, prompts, replies))


def passes(
    prompts: Sequence[Tokens], replies: Sequence[Tokens], chosen: Sequence[int], tokens: int
) -> list[list[list[int]]]:
    """The chosen replies in rows, the rows in forward passes of at most `tokens` tokens with their
    padding (or of one row)."""
    found: list[list[list[int]]] = []
    for row in shared(prompts, replies, chosen, tokens // ROWS_A_PASS):
        if not found or (len(found[-1]) + 1) * padded(size(row, prompts, replies)) > tokens:
            found.append([])
        found[-1].append(row)
    return found


def pack(
    rows: Sequence[Sequence[int]], prompts: Sequence[Tokens], replies: Sequence[Tokens]
) -> Packed:
    """The tensors of one forward pass over these rows of replies."""
    length = padded(max(size(row, prompts, replies) for row in rows))
    ids, positions, parts = (torch.zeros(len(rows), length, dtype=torch.long) for _ in range(3))
    reads: list[int] = []
    told: list[tuple[int, int, int]] = []
    for r, row in enumerate(rows):
        prompt = prompts[row[0]]
        tokens, places, part = list(prompt), list(range(len(prompt))), [0] * len(prompt)
        for k, i in enumerate(row, 1):
            at = r * length + len(tokens)
            reads += [r * length + len(prompt) - 1, *range(at, at + len(replies[i]) - 1)]
            told += [(token, i, place) for place, token in enumerate(replies[i])]
            tokens += replies[i][:-1]
            places += range(len(prompt), len(prompt) + len(replies[i]) - 1)
            part += [k] * (len(replies[i]) - 1)
        n = len(tokens)
        ids[r, :n], positions[r, :n], parts[r, :n] = (
            torch.tensor(tokens),
            torch.tensor(places),
            torch.tensor(part),
        )
        parts[r, n:] = -1
    targets, reply, place = torch.tensor(told).T
    return Packed(ids, positions, _seen(parts), torch.tensor(reads), targets, reply, place)


def _seen(parts: torch.Tensor) -> torch.Tensor:
    """A token attends to the prompt (part 0) and to its own part, up to itself; padding to itself
    alone."""
    same = parts.unsqueeze(2) == parts.unsqueeze(1)
    prompt = (parts == 0).unsqueeze(1) & (parts >= 0).unsqueeze(2)
    return ((same | prompt).tril() | torch.eye(parts.shape[1], dtype=torch.bool)).unsqueeze(1)
