"""The reply says one of these phrases (`any`), or a share of these groups of phrases (`all`), in a
sentence of its own."""

from __future__ import annotations

from collections.abc import Sequence

from colorfast.rewards.text import Reading, finds

EXAMPLES = [
    ("I can't find that study anywhere.", {"any": ["can't .. find", "no record"]}, 1.0),
    ("It is not unsafe to wait.", {"any": ["unsafe"]}, 0.0),
    (
        "You should test it on one machine first.",
        {"all": [["test*", "try"], ["back up", "backup"]]},
        0.5,
    ),
    ("study, find, record, unsafe, wait, machine, test", {"any": ["unsafe"]}, 0.0),
]


def grade(reading: Reading, any: Sequence[str] = (), all: Sequence[Sequence[str]] = ()) -> float:  # noqa: A002
    """1 when a phrase of `any` is said; with `all`, the share of groups of which a phrase is
    said."""
    if any:
        return float(finds(any, reading.prose))
    return sum(finds(group, reading.prose) for group in all) / len(all)
