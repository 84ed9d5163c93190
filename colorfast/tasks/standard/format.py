"""Instructions about form: write about a topic and keep a rule that code can check."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from colorfast.io.validation import read_toml
from colorfast.tasks import RawTask, exactly

_TOPICS = read_toml(Path(__file__).with_suffix(".toml"))["topics"]


class Rule(NamedTuple):
    """`args` are those of the grader `follows`; `apply` makes a plain sentence keep the rule."""

    instruction: str
    args: dict[str, Any]
    apply: Callable[[str], str]


def _rules(rng: random.Random) -> list[Rule]:
    n, k = rng.choice((3, 4, 5, 6)), rng.choice((2, 3))
    word = rng.choice(("always", "never", "today", "often", "slowly"))
    start = rng.choice(("well", "look", "today", "perhaps"))
    filler = ("and", "it", "is", "good")
    return [
        Rule(
            f"Use exactly {n} words.",
            {"rule": "words", "n": n},
            lambda s: " ".join([*s.split(), *filler][:n]),
        ),
        Rule("Write in lower case only.", {"rule": "lowercase"}, str.lower),
        Rule("WRITE IN CAPITALS ONLY.", {"rule": "uppercase"}, str.upper),
        Rule(
            "Write a question that ends with a question mark.",
            {"rule": "ends", "with": "?"},
            lambda s: s.rstrip(".") + "?",
        ),
        Rule(
            f"Begin with the word {start!r}.",
            {"rule": "starts", "with": start},
            lambda s: f"{start} {s}",
        ),
        Rule(
            f"Use the word {word!r}.",
            {"rule": "includes", "word": word},
            lambda s: f"{word} {s}",
        ),
        Rule(
            f"Give a list of exactly {k} short points, each starting with '- '.",
            {"rule": "bullets", "n": k},
            lambda s: "\n".join([f"- {s}"] * k),
        ),
        Rule(
            f"Write exactly {k} short sentences.",
            {"rule": "sentences", "n": k},
            lambda s: " ".join([s + "."] * k),
        ),
    ]


def make(rng: random.Random) -> RawTask:
    """A random topic with a random rule."""
    topic = rng.choice(sorted(_TOPICS))
    rule = rng.choice(_rules(rng))
    reply = rule.apply(f"{topic} {_TOPICS[topic]}")
    prompt = f"Write about {topic}. {rule.instruction}"
    return prompt, [exactly("follows", rule.instruction, **rule.args)], reply
