"""The reply asks the user something: a question sentence that speaks to them or opens with a
question word."""

from __future__ import annotations

import re

from colorfast.rewards.text import Reading

EXAMPLES: list[tuple[str, dict[str, str], float]] = [
    ("Where does it hurt, and since when?", {}, 1.0),
    ("Do you have a backup?", {}, 1.0),
    ("That is a good question.", {}, 0.0),
]
_OPENS = re.compile(r"\b(?:what|which|when|where|who|how|why|you|your|can i|shall i|should i)\b")


def grade(reading: Reading) -> float:
    return float(any(s.rstrip("\"') ").endswith("?") and _OPENS.search(s) for s in reading.prose))
