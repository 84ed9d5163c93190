"""The reply keeps within a number of words; beyond `most` the credit falls to 0 at twice that
number."""

from __future__ import annotations

from colorfast.rewards.text import Reading

EXAMPLES = [
    ("Yes, that is right.", {"most": 10}, 1.0),
    ("one two three", {"most": 2}, 0.5),
    ("Yes.", {"least": 3, "most": 10}, 0.0),
]


def grade(reading: Reading, most: int, least: int = 1) -> float:
    n = len(reading.words)
    if n < least or not reading.prose:
        return 0.0
    return min(1.0, max(0.0, 2 - n / most))
