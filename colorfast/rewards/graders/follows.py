"""The reply keeps a rule of form, named by `rule`."""

import re
from typing import Any

from colorfast.rewards.text import ParsedReply

EXAMPLES = [
    ("one two three", {"rule": "words", "n": 3}, 1.0),
    ("one two three four five six", {"rule": "words", "n": 3}, 0.0),
    ("one two three four", {"rule": "words", "n": 2}, 0.0),
    ("- a\n- b", {"rule": "bullets", "n": 2}, 1.0),
    ("all quiet here", {"rule": "lowercase"}, 1.0),
    ("One Two", {"rule": "lowercase"}, 0.5),
    ("1 2", {"rule": "lowercase"}, 0.0),
    ("LOUD", {"rule": "uppercase"}, 1.0),
    ("Is it so?", {"rule": "ends", "with": "?"}, 1.0),
    ("Stars are far.", {"rule": "starts", "with": "stars"}, 1.0),
    ("The sea is cold", {"rule": "includes", "word": "sea"}, 1.0),
    ("One. Two. Three.", {"rule": "sentences", "n": 3}, 1.0),
    ("a, b", {"rule": "without", "mark": ","}, 0.0),
]
_COUNTED = {
    "words": re.compile(r"\S+"),
    "sentences": re.compile(r"[.!?](?=\s|$)"),
    "bullets": re.compile(r"(?m)^[^\S\n]*(?:[-*•]|\d+[.)])\s+\S"),
}
"""Rules that want `n` of something."""


def grade(reply: ParsedReply, rule: str, **args: Any) -> float | None:
    """How well the reply keeps the rule; None for an unknown rule."""
    text = reply.text
    if rule in _COUNTED:
        return _closeness(len(_COUNTED[rule].findall(text)), args["n"])
    letters = [c for c in text if c.isalpha()]
    capitals = sum(c.isupper() for c in letters)
    match rule:
        case "lowercase":
            return max(0.0, 1 - capitals / 4) if letters else 0.0
        case "uppercase":
            return capitals / len(letters) if letters else 0.0
        case "starts":
            return float(text.lower().lstrip("\"'*- ").startswith(args["with"].lower()))
        case "ends":
            return float(text.rstrip("\"'* ").endswith(args["with"]))
        case "includes":
            return float(args["word"].lower() in reply.words)
        case "without":
            return float(args["mark"] not in text)
    return None


def _closeness(count: int, target: int) -> float:
    """1 at the target, falling evenly to 0 at half the target too few or too many: a slope that
    reinforcement learning can follow."""
    return max(0.0, 1 - abs(count - target) / max(1, target / 2))
