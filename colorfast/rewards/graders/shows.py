"""The reply shows a behaviour, by the phrases in `behaviours/NAME.toml`: 1 for a strong sign, half
for a weak one."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from colorfast.rewards.text import Reading, finds

EXAMPLES = [
    ("I'm not sure that this dose is right.", {"what": "uncertainty"}, 1.0),
    ("It might be the battery.", {"what": "uncertainty"}, 0.5),
    ("It is the battery.", {"what": "uncertainty"}, 0.0),
    ("I'm sorry, but I can't help with that.", {"what": "refusal"}, 1.0),
    ("You can't see the moon at noon.", {"what": "refusal"}, 0.0),
]


@cache
def behaviour(what: str) -> dict[str, list[str]]:
    """The phrases of one behaviour. Raises FileNotFoundError for an unknown one."""
    return tomllib.loads((Path(__file__).parent / "behaviours" / f"{what}.toml").read_text())


def grade(reading: Reading, what: str) -> float:
    phrases = behaviour(what)
    if finds(phrases["strong"], reading.prose):
        return 1.0
    return 0.5 if finds(phrases.get("weak", []), reading.prose) else 0.0
