"""Put three or four words or numbers in order."""

from __future__ import annotations

import random

from colorfast.tasks import Made, exactly

_WORDS = [
    "apple",
    "bread",
    "cloud",
    "dance",
    "eagle",
    "flame",
    "grass",
    "house",
    "igloo",
    "jelly",
    "kite",
    "lemon",
    "mouse",
    "night",
    "ocean",
    "piano",
    "queen",
    "river",
    "snake",
    "table",
    "uncle",
    "violin",
    "water",
    "xenon",
    "yacht",
    "zebra",
]


def make(rng: random.Random) -> Made:
    n = rng.choice((3, 3, 4))
    if rng.random() < 0.5:
        items = sorted(rng.sample(_WORDS, n))
        ask = "Put these words in alphabetical order: {}."
    else:
        items = [str(v) for v in sorted(rng.sample(range(1, 100), n))]
        ask = "Sort these numbers from smallest to largest: {}."
    shuffled = list(items)
    while shuffled == items:
        rng.shuffle(shuffled)
    prompt = f"{ask.format(', '.join(shuffled))} Reply with the list only."
    return prompt, [exactly("order", "List them in order", items=items)], ", ".join(items)
