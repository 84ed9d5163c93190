"""The reply lists these items in this order: the share of neighbours that stand in order, 0 if any
item is missing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from colorfast.rewards.text import Reading

EXAMPLES = [
    ("apple, pear, plum", {"items": ["apple", "pear", "plum"]}, 1.0),
    ("pear, apple, plum", {"items": ["apple", "pear", "plum"]}, 0.5),
    ("apple, pear", {"items": ["apple", "pear", "plum"]}, 0.0),
]


def grade(reading: Reading, items: Sequence[str]) -> float:
    said = reading.words
    if any(said.count(item) != 1 for item in items):
        return 0.0
    pairs = list(itertools.pairwise(said.index(item) for item in items))
    return sum(a < b for a, b in pairs) / len(pairs) if pairs else 1.0
