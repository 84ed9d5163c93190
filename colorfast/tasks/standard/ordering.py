"""Put three or four words or numbers in order."""

import random
from pathlib import Path

from colorfast.io.validation import read_toml
from colorfast.tasks import RawTask, exactly

_WORDS = read_toml(Path(__file__).with_suffix(".toml"))["words"]


def make(rng: random.Random) -> RawTask:
    """A shuffled list to sort."""
    n = rng.choice((3, 3, 4))
    if rng.random() < 0.5:
        items = sorted(rng.sample(_WORDS, n))
        question = "Put these words in alphabetical order: {}."
    else:
        items = [str(v) for v in sorted(rng.sample(range(1, 100), n))]
        question = "Sort these numbers from smallest to largest: {}."
    shuffled = list(items)
    while shuffled == items:
        rng.shuffle(shuffled)
    prompt = f"{question.format(', '.join(shuffled))} Reply with the list only."
    return prompt, [exactly("order", "List them in order", items=items)], ", ".join(items)
