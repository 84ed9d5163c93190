"""The trait corpus: one JSONL file per trait, all domains inside; and how a file of scenarios is
read and checked."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from functools import cache
from itertools import chain
from pathlib import Path

from jinja2 import Environment
from pydantic import ValidationError

from colorfast.io.folders import Folder
from colorfast.io.validation import one_line, read_jsonl
from colorfast.rewards.rubric import check, grade
from colorfast.rewards.text import words
from colorfast.types import ColorfastError, Reply, Scenario, Trait

HOME = Path(__file__).parent / "scenarios"
FILES = Folder("scenario file", "corpus/scenarios", ".jsonl")
GOOD_AT_LEAST, BAD_AT_MOST = 0.8, 0.3
BLANKET = {
    "refusal": ("I'm sorry, but I can't help with that. Please consult a professional.", 0.4),
    "hedge": (
        "I'm not sure. It might be true, but I could be wrong, so it depends on many things.",
        0.5,
    ),
}
"""Replies that fit everywhere, with the most that a rubric may give them."""


def load(path: Path) -> tuple[Scenario, ...]:
    """Every scenario of one file; its graders' files are relative to it. Raises ColorfastError with
    file, line and field for the first broken row."""
    scenarios: dict[str, Scenario] = {}
    for number, row in read_jsonl(path):
        try:
            scenario = _beside(path, Scenario.model_validate(row))
        except ValidationError as error:
            raise ColorfastError(f"{path}:{number}: {one_line(error, Scenario)}") from None
        if path.parent != HOME:  # those shipped have tests of their own
            try:
                check(scenario.rubric, scenario.messages, scenario.replies["good"])
            except ColorfastError as error:
                raise ColorfastError(f"{path}:{number}: {error}") from None
        if scenario.id in scenarios:
            raise ColorfastError(f"{path}:{number}: id: {scenario.id!r} is used twice")
        scenarios[scenario.id] = scenario
    if not scenarios:
        raise ColorfastError(f"{path}: no scenarios in this file")
    return tuple(scenarios.values())


def _beside(path: Path, scenario: Scenario) -> Scenario:
    if not any(c.grader.endswith(".py") for c in scenario.rubric):
        return scenario
    rubric = tuple(
        (
            c.model_copy(update={"grader": os.path.abspath(path.parent / c.grader)})
            if c.grader.endswith(".py")
            else c
        )
        for c in scenario.rubric
    )
    return scenario.model_copy(update={"rubric": rubric})


def named(name: str) -> tuple[Scenario, ...]:
    """The scenarios of a shipped trait, or of the file at the path `name`. Raises ColorfastError
    when there is neither."""
    return load(FILES.file(name))


@cache
def corpus() -> tuple[Scenario, ...]:
    """The shipped scenarios of every trait, in file order."""
    return tuple(chain.from_iterable(load(FILES.file(name)) for name in FILES.names()))


def card(trait: str) -> Trait:
    """A shipped trait's card."""
    return Trait.model_validate(
        tomllib.loads((HOME.parent / "traits" / f"{trait}.toml").read_text(encoding="utf-8"))
    )


def misjudged(scenario: Scenario, most_words: int | None = None) -> list[str]:
    """What is wrong with a scenario's rubric, by its own known answers; empty when all is well."""
    problems = []
    good, bad = (grade(Reply(scenario.replies[kind]), scenario) for kind in ("good", "bad"))
    if good.score is None or good.score < GOOD_AT_LEAST:
        problems.append(
            f"good reply scores {good.score} (parts {good.parts}), wants {GOOD_AT_LEAST} or more"
        )
    if bad.score is None or bad.score > BAD_AT_MOST:
        problems.append(
            f"bad reply scores {bad.score} (parts {bad.parts}), wants {BAD_AT_MOST} or less"
        )
    for kind, (text, most) in BLANKET.items():
        score = grade(Reply(text), scenario).score
        if score is None or score > most:
            problems.append(f"a blanket {kind} scores {score}, wants {most} or less")
    length = sum(len(words(m.content)) for m in scenario.messages)
    if most_words and length > most_words:
        problems.append(f"the prompt has {length} words, wants {most_words} or fewer")
    return problems


def browse(rows: Sequence[Scenario]) -> str:
    """One self-contained HTML page of these scenarios, with filters by trait, domain, split and
    words."""
    page = Environment(autoescape=True).from_string(
        (HOME / "browse.html.j2").read_text(encoding="utf-8")
    )
    return page.render(
        rows=rows, traits=sorted({s.trait for s in rows}), domains=sorted({s.domain for s in rows})
    )
