"""Short sums of two or three small numbers, in digits or in a one-line story."""

import operator
import random
from pathlib import Path

from colorfast.io.validation import read_toml
from colorfast.tasks import RawTask, number_task

_WORDS = read_toml(Path(__file__).with_suffix(".toml"))
_STORIES = (
    ("{n} has {a} {x} and gets {b} more. How many {x} does {n} have now?", operator.add),
    ("{n} had {a} {x} and gave away {b}. How many {x} are left?", operator.sub),
    ("{n} fills {b} bags with {a} {x} each. How many {x} are there in all?", operator.mul),
)


def make(rng: random.Random) -> RawTask:
    """A story or a bare sum."""
    if rng.random() < 0.5:
        story, operation = rng.choice(_STORIES)
        b = rng.randint(2, 9)
        a = rng.randint(b, 12)
        name, thing = rng.choice(_WORDS["names"]), rng.choice(_WORDS["things"])
        return number_task(story.format(n=name, a=a, b=b, x=thing), operation(a, b))
    a, b, c = rng.randint(2, 12), rng.randint(2, 9), rng.randint(2, 6)
    sums = (
        (f"{a} + {b}", a + b),
        (f"{a + b} - {b}", a),
        (f"{b} x {c}", b * c),
        (f"{a} + {b} + {c}", a + b + c),
    )
    text, value = rng.choice(sums)
    prompt = rng.choice(("What is {}?", "Work out {}.", "Calculate {}.")).format(text)
    return number_task(prompt, value)
