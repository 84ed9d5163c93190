"""Count things in a short list."""

from __future__ import annotations

import random

from colorfast.tasks import Made, exactly

_KINDS = {
    "animals": ("cat", "dog", "horse", "cow", "sheep", "fox", "owl", "frog"),
    "fruits": ("apple", "pear", "plum", "grape", "lemon", "mango", "peach", "fig"),
    "colours": ("red", "blue", "green", "pink", "brown", "black", "white", "grey"),
    "tools": ("hammer", "saw", "drill", "wrench", "pliers", "chisel", "ruler", "clamp"),
}


def make(rng: random.Random) -> Made:
    kind, other = rng.sample(sorted(_KINDS), 2)
    if rng.random() < 0.5:
        n = rng.randint(2, 5)
        items = rng.sample(_KINDS[kind], n)
        prompt, value = f"How many words are in this list? {', '.join(items)}.", n
    else:
        word = rng.choice(_KINDS[kind])
        value = rng.randint(1, 4)
        items = [word] * value + rng.sample(_KINDS[other], rng.randint(1, 4))
        rng.shuffle(items)
        prompt = f"How many times does the word {word!r} appear? {' '.join(items)}"
    return (
        f"{prompt} Give only the number.",
        [exactly("number", f"Answer {value}", value=value)],
        str(value),
    )
