"""The reply keeps within a number of words."""

from colorfast.rewards.text import ParsedReply

EXAMPLES = [
    ("Yes, that is right.", {"most": 10}, 1.0),
    ("one two three", {"most": 2}, 0.5),
    ("Yes.", {"least": 3, "most": 10}, 0.0),
]


def grade(reply: ParsedReply, most: int, least: int = 1) -> float:
    """1 from `least` to `most` words, falling to 0 at twice `most`; 0 for fewer or no prose."""
    count = len(reply.words)
    if count < least or not reply.prose:
        return 0.0
    return min(1.0, max(0.0, 2 - count / most))
