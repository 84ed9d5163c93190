"""Batches of sequences of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def length_batches(
    lengths: Sequence[int], tokens: int, rows: int | None = None
) -> Iterator[list[int]]:
    """Indices of sequences, shortest first, in batches of at most `tokens` tokens with padding (or
    of one sequence) and at most `rows` sequences. Sequences of equal length keep their order."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == rows or (len(batch) + 1) * lengths[i] > tokens):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
