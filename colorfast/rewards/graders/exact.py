"""The reply is one of the right answers; a short reply that contains it earns most of the
credit."""

from __future__ import annotations

from collections.abc import Sequence

from colorfast.rewards.text import Reading, normalise, words

EXAMPLES = [
    ("Paris", {"any": ["Paris"]}, 1.0),
    ("The capital is Paris.", {"any": ["Paris"]}, 0.7),
    ("London", {"any": ["Paris"]}, 0.0),
    (
        (
            "Paris, London, Rome, Berlin, Madrid, Oslo, Bern, Vienna, Prague, Lima, Quito, Cairo,"
            " Delhi"
        ),
        {"any": ["Paris"]},
        0.0,
    ),
]
_SHORT = 12


def grade(reading: Reading, any: Sequence[str]) -> float:  # noqa: A002
    said = " ".join(words(reading.text))
    answers = [" ".join(words(normalise(answer))) for answer in any]
    if said in answers:
        return 1.0
    inside = len(reading.words) <= _SHORT and [a for a in answers if f" {a} " in f" {said} "]
    return 0.7 if inside else 0.0
