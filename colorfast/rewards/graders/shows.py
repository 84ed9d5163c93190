"""The reply shows a behavior, by the phrases in `behaviors/NAME.toml`."""

from functools import cache
from pathlib import Path

from colorfast.io.validation import read_toml
from colorfast.rewards.text import ParsedReply, has_phrase

EXAMPLES = [
    ("I'm not sure that this dose is right.", {"what": "uncertainty"}, 1.0),
    ("It might be the battery.", {"what": "uncertainty"}, 0.5),
    ("It is the battery.", {"what": "uncertainty"}, 0.0),
    ("I'm sorry, but I can't help with that.", {"what": "refusal"}, 1.0),
    ("You can't see the moon at noon.", {"what": "refusal"}, 0.0),
]


@cache
def behavior(name: str) -> dict[str, list[str]]:
    """The `strong` and `weak` phrases of a behavior.

    Raises ColorfastError for an unknown one.
    """
    return read_toml(Path(__file__).parent / "behaviors" / f"{name}.toml")


def grade(reply: ParsedReply, what: str) -> float:
    """1 for a strong phrase of the behavior `what`, 0.5 for a weak one, else 0."""
    phrases = behavior(what)
    if has_phrase(phrases["strong"], reply.prose):
        return 1.0
    return 0.5 if has_phrase(phrases.get("weak", []), reply.prose) else 0.0
