"""The reply lists these items in this order."""

import itertools
from collections.abc import Sequence

from colorfast.rewards.text import ParsedReply

EXAMPLES = [
    ("apple, pear, plum", {"items": ["apple", "pear", "plum"]}, 1.0),
    ("pear, apple, plum", {"items": ["apple", "pear", "plum"]}, 0.5),
    ("apple, pear", {"items": ["apple", "pear", "plum"]}, 0.0),
]


def grade(reply: ParsedReply, items: Sequence[str]) -> float:
    """The share of neighboring items that are in order; 0 unless each item occurs exactly once."""
    if any(reply.words.count(item) != 1 for item in items):
        return 0.0
    positions = [reply.words.index(item) for item in items]
    in_order = [first < second for first, second in itertools.pairwise(positions)]
    return sum(in_order) / len(in_order) if in_order else 1.0
