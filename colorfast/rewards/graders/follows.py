"""The reply keeps a rule of form: one function a rule, named by `rule`."""

from __future__ import annotations

import re
from typing import Any

from colorfast.rewards.text import Reading

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


def _near(found: int, wanted: int) -> float:
    """1 when equal, falling to 0 at half as many too many or too few: a slope that can be
    learnt."""
    return max(0.0, 1 - abs(found - wanted) / max(1, wanted / 2))


def grade(reading: Reading, rule: str, **wants: Any) -> float | None:
    text = reading.text
    letters = [c for c in text if c.isalpha()]
    match rule:
        case "words":
            return _near(len(text.split()), wants["n"])
        case "sentences":
            return _near(len(re.findall(r"[.!?](?=\s|$)", text)), wants["n"])
        case "bullets":
            return _near(len(re.findall(r"(?m)^[^\S\n]*(?:[-*•]|\d+[.)])\s+\S", text)), wants["n"])
        case "lowercase":
            return max(0.0, 1 - sum(c.isupper() for c in letters) / 4) if letters else 0.0
        case "uppercase":
            return sum(c.isupper() for c in letters) / len(letters) if letters else 0.0
        case "starts":
            return float(text.lower().lstrip("\"'*- ").startswith(wants["with"].lower()))
        case "ends":
            return float(text.rstrip("\"'* ").endswith(wants["with"]))
        case "includes":
            return float(wants["word"].lower() in reading.words)
        case "without":
            return float(wants["mark"] not in text)
    return None
