"""The reply asks the user something.

A sentence counts that ends with a question mark and holds a question word or "you".
"""

import re

from colorfast.rewards.text import ParsedReply

EXAMPLES: list[tuple[str, dict[str, str], float]] = [
    ("Where does it hurt, and since when?", {}, 1.0),
    ("Do you have a backup?", {}, 1.0),
    ("That is a good question.", {}, 0.0),
]
_ASKS = re.compile(r"\b(?:what|which|when|where|who|how|why|you|your|can i|shall i|should i)\b")


def grade(reply: ParsedReply) -> float:
    """1 when any sentence is such a question, else 0."""
    for sentence in reply.prose:
        if sentence.rstrip("\"') ").endswith("?") and _ASKS.search(sentence):
            return 1.0
    return 0.0
