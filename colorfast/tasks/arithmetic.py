"""Short sums: two or three small numbers, in digits or in a one-line story."""

from __future__ import annotations

import random

from colorfast.tasks import Made, exactly

_STORIES = (
    ("{n} has {a} {x} and gets {b} more. How many {x} does {n} have now?", lambda a, b: a + b),
    ("{n} had {a} {x} and gave away {b}. How many {x} are left?", lambda a, b: a - b),
    ("{n} fills {b} bags with {a} {x} each. How many {x} are there in all?", lambda a, b: a * b),
)
_NAMES = (
    "Ana",
    "Ben",
    "Chloe",
    "Dev",
    "Emi",
    "Farid",
    "Grace",
    "Hugo",
    "Iris",
    "Jonas",
    "Kofi",
    "Lena",
)
_THINGS = (
    "apples",
    "books",
    "coins",
    "cards",
    "pencils",
    "shells",
    "stamps",
    "tickets",
    "marbles",
    "seeds",
)


def make(rng: random.Random) -> Made:
    if rng.random() < 0.5:
        story, result = rng.choice(_STORIES)
        b = rng.randint(2, 9)
        a = rng.randint(b, 12)
        prompt = story.format(n=rng.choice(_NAMES), a=a, b=b, x=rng.choice(_THINGS))
        value = result(a, b)
    else:
        a, b, c = rng.randint(2, 12), rng.randint(2, 9), rng.randint(2, 6)
        text, value = rng.choice(
            (
                (f"{a} + {b}", a + b),
                (f"{a + b} - {b}", a),
                (f"{b} x {c}", b * c),
                (f"{a} + {b} + {c}", a + b + c),
            )
        )
        prompt = rng.choice(("What is {}?", "Work out {}.", "Calculate {}.")).format(text)
    return (
        f"{prompt} Give only the number.",
        [exactly("number", f"Answer {value}", value=value)],
        str(value),
    )
