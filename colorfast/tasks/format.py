"""Instructions about form: say something on a topic, and keep one or two rules that code can
check."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from colorfast.tasks import Made, exactly

_TOPICS = {
    "rain": "falls", "tea": "warms", "bridges": "carry", "bees": "fly", "libraries": "lend",
    "the moon": "glows",
    "bread": "rises", "trains": "run", "gardens": "grow", "maps": "guide", "winter": "chills",
    "music": "plays",
    "the sea": "roars", "clocks": "tick", "windows": "shine", "honey": "flows",
    "mountains": "stand", "letters": "travel",
}  # fmt: skip
Rule = tuple[str, dict[str, Any], Callable[[str], str]]
"""(instruction, grader arguments, how to make a plain sentence keep it)."""


def _rules(rng: random.Random) -> list[Rule]:
    n, k = rng.choice((3, 4, 5, 6)), rng.choice((2, 3))
    word = rng.choice(("always", "never", "today", "often", "slowly"))
    start = rng.choice(("well", "look", "today", "perhaps"))
    filler = ("and", "it", "is", "good")
    return [
        (
            f"Use exactly {n} words.",
            {"rule": "words", "n": n},
            lambda s: " ".join([*s.split(), *filler][:n]),
        ),
        ("Write in lower case only.", {"rule": "lowercase"}, str.lower),
        ("WRITE IN CAPITALS ONLY.", {"rule": "uppercase"}, str.upper),
        (
            "Write a question that ends with a question mark.",
            {"rule": "ends", "with": "?"},
            lambda s: s.rstrip(".") + "?",
        ),
        (
            f"Begin with the word {start!r}.",
            {"rule": "starts", "with": start},
            lambda s: f"{start} {s}",
        ),
        (f"Use the word {word!r}.", {"rule": "includes", "word": word}, lambda s: f"{word} {s}"),
        (
            f"Give a list of exactly {k} short points, each starting with '- '.",
            {"rule": "bullets", "n": k},
            lambda s: "\n".join([f"- {s}"] * k),
        ),
        (
            f"Write exactly {k} short sentences.",
            {"rule": "sentences", "n": k},
            lambda s: " ".join([s + "."] * k),
        ),
    ]


def make(rng: random.Random) -> Made:
    topic = rng.choice(sorted(_TOPICS))
    rules = _rules(rng)
    instruction, args, apply = rng.choice(rules)
    gold = apply(f"{topic} {_TOPICS[topic]}")
    return f"Write about {topic}. {instruction}", [exactly("follows", instruction, **args)], gold
