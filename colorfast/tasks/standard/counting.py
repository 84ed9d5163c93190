"""Count the things in a short list."""

import random
from pathlib import Path

from colorfast.io.validation import read_toml
from colorfast.tasks import RawTask, number_task

_KINDS = read_toml(Path(__file__).with_suffix(".toml"))


def make(rng: random.Random) -> RawTask:
    """Count all words of a list, or one of them."""
    kind, other = rng.sample(sorted(_KINDS), 2)
    if rng.random() < 0.5:
        count = rng.randint(2, 5)
        items = rng.sample(_KINDS[kind], count)
        return number_task(f"How many words are in this list? {', '.join(items)}.", count)
    word = rng.choice(_KINDS[kind])
    count = rng.randint(1, 4)
    items = [word] * count + rng.sample(_KINDS[other], rng.randint(1, 4))
    rng.shuffle(items)
    return number_task(f"How many times does the word {word!r} appear? {' '.join(items)}", count)
