"""Read one detail out of a short notice."""

from __future__ import annotations

import random

from colorfast.tasks import Made, exactly

_PEOPLE = (
    "Maria Lopez",
    "James Chen",
    "Aisha Khan",
    "Peter Novak",
    "Sofia Rossi",
    "Omar Haddad",
    "Lily Brown",
    "Kenji Sato",
)
_CITIES = ("Lisbon", "Oslo", "Nairobi", "Toronto", "Lima", "Hanoi", "Dublin", "Perth")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ITEMS = ("lamp", "bicycle", "camera", "kettle", "jacket", "guitar", "desk", "tent")
_FRAMES = (
    "{person} will arrive in {city} on {day} at {time} to collect the {item} for ${price}.",
    "Notice: the {item} sale in {city} opens {day} at {time}. Ask for {person}. Price: ${price}.",
    (
        "Hi, this is {person}. My {item} order costs ${price}; please deliver it to {city} on"
        " {day}, {time}."
    ),
)
_QUESTIONS = {
    "person": "What is the person's name?",
    "city": "Which city is named?",
    "day": "Which day is named?",
    "item": "Which object is named?",
    "price": "What is the price?",
    "time": "At what time?",
}


def make(rng: random.Random) -> Made:
    facts = {
        "person": rng.choice(_PEOPLE),
        "city": rng.choice(_CITIES),
        "day": rng.choice(_DAYS),
        "item": rng.choice(_ITEMS),
        "price": str(rng.randint(5, 95)),
        "time": f"{rng.randint(8, 18)}:{rng.choice(('00', '15', '30', '45'))}",
    }
    key = rng.choice(sorted(_QUESTIONS))
    prompt = f"{rng.choice(_FRAMES).format(**facts)}\n{_QUESTIONS[key]} Answer with that only."
    return (
        prompt,
        [
            exactly(
                "exact",
                f"Answer {facts[key]}",
                any=[facts[key], f"${facts[key]}", f"the {facts[key]}"],
            )
        ],
        facts[key],
    )
