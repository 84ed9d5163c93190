"""The reply is one of the right answers."""

from collections.abc import Sequence

from colorfast.rewards.text import ParsedReply, normalize, words

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
"""Words of a reply that may hold the answer among others."""


def grade(reply: ParsedReply, any: Sequence[str]) -> float:  # noqa: A002
    """1 for an answer and nothing else, 0.7 for a short reply that contains one, else 0."""
    text = " ".join(reply.words)
    answers = [" ".join(words(normalize(answer))) for answer in any]
    if text in answers:
        return 1.0
    if len(reply.words) > _SHORT:
        return 0.0
    contained = [answer for answer in answers if f" {answer} " in f" {text} "]
    return 0.7 if contained else 0.0
