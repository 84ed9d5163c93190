"""The reply says certain phrases in its own sentences.

In a phrase, `*` stands for any end of a word and ` .. ` for up to five words. A negated phrase does
not count.
"""

from collections.abc import Sequence

from colorfast.rewards.text import ParsedReply, has_phrase

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


def grade(
    reply: ParsedReply,
    any: Sequence[str] = (),  # noqa: A002
    all: Sequence[Sequence[str]] = (),  # noqa: A002
) -> float:
    """1 when the reply says a phrase of `any`, else 0; without `any`, the share of the groups of
    `all` from which it says a phrase."""
    if any:
        return float(has_phrase(any, reply.prose))
    return sum(has_phrase(group, reply.prose) for group in all) / len(all)
