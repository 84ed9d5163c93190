"""The trait corpus, one JSONL file for each trait, and how files of scenarios are read and
checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from itertools import chain
from pathlib import Path

from jinja2 import Environment
from pydantic import ValidationError

from colorfast.io.folders import Folder
from colorfast.io.validation import check_known, one_line, read_jsonl, read_toml
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
"""Replies that fit any prompt, with the highest score that a rubric may give them."""


def load(path: Path) -> tuple[Scenario, ...]:
    """Every scenario of a file. Paths to graders in it are relative to the file.

    Raises ColorfastError with file, line and field for the first invalid row.
    """
    scenarios: dict[str, Scenario] = {}
    for number, row in read_jsonl(path):
        try:
            scenario = _with_absolute_graders(Scenario.model_validate(row), path.parent)
            if path.parent != HOME:  # tests check the shipped files
                check(scenario.rubric, scenario.messages, scenario.replies["good"])
        except ValidationError as error:
            raise ColorfastError(f"{path}:{number}: {one_line(error, Scenario)}") from None
        except ColorfastError as error:
            raise ColorfastError(f"{path}:{number}: {error}") from None
        if scenario.id in scenarios:
            raise ColorfastError(f"{path}:{number}: id: {scenario.id!r} is used twice")
        scenarios[scenario.id] = scenario
    if not scenarios:
        raise ColorfastError(f"{path}: no scenarios in this file")
    return tuple(scenarios.values())


def _with_absolute_graders(scenario: Scenario, folder: Path) -> Scenario:
    rubric = []
    for criterion in scenario.rubric:
        if criterion.grader.endswith(".py"):
            grader = os.path.abspath(folder / criterion.grader)
            criterion = criterion.model_copy(update={"grader": grader})
        rubric.append(criterion)
    return scenario.model_copy(update={"rubric": tuple(rubric)})


def named(name: str) -> tuple[Scenario, ...]:
    """The scenarios of a shipped trait, or of the file at the path `name`.

    Raises ColorfastError when there is neither.
    """
    return load(FILES.file(name))


@cache
def corpus() -> tuple[Scenario, ...]:
    """The shipped scenarios of every trait, in file order."""
    return tuple(chain.from_iterable(named(name) for name in FILES.names()))


def card(trait: str) -> Trait:
    """The card of a shipped trait."""
    return Trait.model_validate(read_toml(HOME.parent / "traits" / f"{trait}.toml"))


def misjudged(scenario: Scenario, most_words: int | None = None) -> list[str]:
    """What is wrong with a scenario's rubric by its known replies, and with the length of its
    prompt; empty when all is well."""
    problems = []
    good = grade(Reply(scenario.replies["good"]), scenario)
    if good.score is None or good.score < GOOD_AT_LEAST:
        problems.append(
            f"good reply scores {good.score} (parts {good.parts}), wants {GOOD_AT_LEAST} or more"
        )
    bad = grade(Reply(scenario.replies["bad"]), scenario)
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


def select(
    rows: Sequence[Scenario], trait: str | None, domain: str | None, split: str | None
) -> tuple[Scenario, ...]:
    """The scenarios of a trait, a domain and a split, where one is named.

    Raises ColorfastError for a name that none of them has.
    """
    for field, name in (("trait", trait), ("domain", domain), ("split", split)):
        if name:
            known = {"train", "heldout"} if field == "split" else {getattr(s, field) for s in rows}
            check_known(field, [name], known)
            rows = [s for s in rows if getattr(s, field) == name]
    return tuple(rows)


def check_rubrics(path: Path, rows: Sequence[Scenario]) -> None:
    """Raises ColorfastError when a rubric misjudges the known replies of its own scenario."""
    wrong = [s for s in rows if misjudged(s)]
    if wrong:
        more = f" (and {len(wrong) - 1} more scenarios)" if len(wrong) > 1 else ""
        raise ColorfastError(f"{path}: {wrong[0].id}: {misjudged(wrong[0])[0]}{more}")


def browse(rows: Sequence[Scenario]) -> str:
    """One self-contained HTML page of these scenarios, with filters by trait, domain, split and
    words."""
    template = (HOME / "browse.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True).from_string(template)
    traits, domains = {s.trait for s in rows}, {s.domain for s in rows}
    return page.render(rows=rows, traits=sorted(traits), domains=sorted(domains))
