"""Closed-book questions with one short answer."""

import random
from pathlib import Path

from colorfast.io.validation import read_toml
from colorfast.tasks import RawTask, exactly

_KINDS = read_toml(Path(__file__).with_suffix(".toml"))["kinds"]


def make(rng: random.Random) -> RawTask:
    """A question of a random kind."""
    kind = rng.choice(_KINDS)
    key = rng.choice(sorted(kind["answers"]))
    answer = kind["answers"][key]
    prompt = f"{kind['question'].format(key)} Answer in one word."
    return prompt, [exactly("exact", f"Answer {answer}", any=[answer])], answer
