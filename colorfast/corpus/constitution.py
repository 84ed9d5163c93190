"""Constitutions: principles in Markdown, used as text for a model, as a rubric for a judge, and as
criteria for code.

`NAME.md` holds the principles, one under each heading. `NAME.toml` beside it, where it exists, says
how code can see that a principle is kept or broken.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import Field, TypeAdapter, ValidationError

from colorfast.io.downloads import fetch, source
from colorfast.io.folders import Folder
from colorfast.io.validation import check_known, nearest, one_line, read_text, read_toml
from colorfast.types import ColorfastError, Criterion, Frozen, Task

HOME = Path(__file__).parent / "constitutions"
MODEL_SPEC = "model-spec"
"""OpenAI's Model Spec (CC0), fetched at a pinned commit."""
SOURCE = source("openai/model_spec", "model_spec.md")
MOST = 16
"""A judge sees at most this many principles with one reply, because it marks many lines badly. Of a
longer constitution each task draws its own, as Constitutional AI does (arXiv 2212.08073)."""
RULE_WORDS, REASON_WORDS = 60, 150
_ATTRIBUTES = re.compile(r"\s*\{#[^}]*\}\s*$")
_ASIDE = re.compile(r"!!!|\*\*Example\*\*")


class Principle(Frozen):
    """One principle of a constitution: `rule` in a sentence or two, `reasons` as prose.
    `criteria`: how code grades it, each with its share of the constitution's score; without any,
    only a judge can."""

    name: str
    title: str
    rule: str
    reasons: str = ""
    criteria: tuple[Criterion, ...] = ()


Constitution = tuple[Principle, ...]


class Section(NamedTuple):
    """A heading of a Markdown file and the paragraphs under it."""

    level: int
    title: str
    paragraphs: list[str]


def names() -> list[str]:
    """The shipped constitutions, and the Model Spec."""
    return [*Folder("constitution", "corpus/constitutions", ".toml").names(), MODEL_SPEC]


@cache
def load(name: str) -> Constitution:
    """A shipped constitution by name, or a Markdown file by path.

    Raises ColorfastError when the file is missing or holds no principle, or when its criteria are
    invalid.
    """
    path = Path(name)
    if name == MODEL_SPEC:
        path = fetch(SOURCE)
    elif name in names():
        path = HOME / f"{name}.md"
    elif not path.is_file():
        raise ColorfastError(f"constitution {name!r}: no such file; {nearest(name, names())}")
    principles = {p.name: p for p in _principles(read_text(path))}
    if not principles:
        raise ColorfastError(f"{path}: no principles; write each as a heading with text under it")
    criteria = path.with_suffix(".toml")
    if criteria.is_file():
        principles |= _with_criteria(principles, criteria)
    return tuple(principles.values())


def _principles(text: str) -> list[Principle]:
    """The sections that have text, as principles.

    Where headings carry an authority, as in the Model Spec, only these are principles. Otherwise
    headings of the first level are chapter titles, if there are deeper ones.
    """
    sections = _sections(text)
    marked = [section for section in sections if "authority=" in section.title]
    deeper = [section for section in sections if section.level > 1]
    principles = []
    for section in marked or deeper or sections:
        if section.paragraphs:
            title = _ATTRIBUTES.sub("", section.title)
            slug = re.sub("['’]", "", title.lower())
            slug = re.sub("[^a-z0-9]+", "-", slug).strip("-")
            rule, rest = _split_rule(section.paragraphs)
            reasons = _first_words(rest, REASON_WORDS)
            principles.append(Principle(name=slug, title=title, rule=rule, reasons=reasons))
    return principles


def _sections(text: str) -> list[Section]:
    """The headings of a Markdown text. The Model Spec's notes and examples are left out."""
    sections: list[Section] = []
    for before, token in pairwise(MarkdownIt().parse(text)):
        if token.type != "inline":
            continue
        if before.type == "heading_open":
            sections.append(Section(int(before.tag[1]), _plain(token), []))
        elif sections and before.type == "paragraph_open" and not _ASIDE.match(token.content):
            sections[-1].paragraphs.append(_plain(token))
    return sections


def _plain(token: Token) -> str:
    """The words of a paragraph without marks and footnotes. A link whose text is `?` becomes the
    name of the section that it points to."""
    parts = []
    target = ""
    for child in token.children or []:
        if child.type == "link_open":
            target = str(child.attrs.get("href", "")).lstrip("#").replace("_", " ")
        elif child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        else:
            parts.append(target if child.content == "?" else child.content)
    return " ".join(re.sub(r"\[\^\w+\]", "", "".join(parts)).split())


def _split_rule(paragraphs: Sequence[str]) -> tuple[str, list[str]]:
    """The rule and the text after it: the first paragraph, or the first sentence of a long one."""
    rule, *rest = paragraphs
    while rule.endswith(":") and rest:  # a list completes the sentence
        rule = f"{rule} {rest.pop(0)}"
    if len(rule.split()) > RULE_WORDS:
        rule, *more = re.split(r"(?<=[.!?]) ", rule, maxsplit=1)
        rest = more + rest
    return rule, rest


def _first_words(paragraphs: Sequence[str], most: int) -> str:
    """The first paragraphs that together have at most `most` words."""
    kept: list[str] = []
    length = 0
    for paragraph in paragraphs:
        length += len(paragraph.split())
        if length > most:
            break
        kept.append(paragraph)
    return "\n\n".join(kept)


class CodeCriterion(Frozen):
    """A criterion in the TOML file of a constitution; its weight follows from the others."""

    text: str
    grader: str
    args: dict[str, Any] = Field(default_factory=dict)


class PrincipleCriteria(Frozen):
    """How code sees that a principle is kept or broken."""

    keeps: tuple[CodeCriterion, ...] = Field(min_length=1)
    breaks: tuple[CodeCriterion, ...] = ()


def _with_criteria(principles: dict[str, Principle], path: Path) -> dict[str, Principle]:
    """The principles that the file has criteria for. All have an equal share of the credit, which
    their `keeps` share equally; each of their `breaks` costs the file's `deduction`."""
    raw = read_toml(path)
    deduction = raw.pop("deduction", 0.25)
    if not isinstance(deduction, (int, float)) or not 0 <= deduction <= 1:
        raise ColorfastError(
            f"{path}: deduction: must be a number from 0 to 1, found {str(deduction)[:40]!r}"
        )
    try:
        criteria = TypeAdapter(dict[str, PrincipleCriteria]).validate_python(raw)
    except ValidationError as error:
        raise ColorfastError(f"{path}: {one_line(error, PrincipleCriteria)}") from None
    check_known(f"principle in {path.name}", criteria, principles)
    result = {}
    for name, own in criteria.items():
        weight = 1 / len(criteria) / len(own.keeps)
        weighted = [Criterion(**c.model_dump(), weight=weight) for c in own.keeps]
        weighted += [Criterion(**c.model_dump(), weight=-deduction) for c in own.breaks]
        result[name] = principles[name].model_copy(update={"criteria": tuple(weighted)})
    return result


def for_code(principles: Constitution) -> bool:
    """Whether code can grade by this constitution. If not, only a judge can."""
    return any(p.criteria for p in principles)


def rubric(principles: Constitution, task: Task) -> tuple[Criterion, ...]:
    """The rubric for a reply to the task: the criteria of the principles, or, where they have none,
    the principles themselves, for a judge."""
    if for_code(principles):
        return tuple(chain.from_iterable(p.criteria for p in principles))
    drawn = random.Random(f"principles-{task.id}").sample(principles, min(MOST, len(principles)))
    lines = [f"Keeps to this, or has no occasion to: {p.title}. {p.rule}" for p in drawn]
    return tuple(Criterion(text=line, weight=1 / len(drawn), grader="judged") for line in lines)


def rewarded(task: Task, principles: Constitution) -> Task:
    """The task with the constitution's rubric in place of its own, and without its known replies,
    which fit only its own rubric."""
    return task.model_copy(update={"rubric": rubric(principles, task), "replies": {}})


def short(principles: Constitution) -> str:
    """All titles and rules, as the text of a system message."""
    return "\n".join(["Keep to these principles:", *(f"- {p.title}: {p.rule}" for p in principles)])


def whole(principle: Principle) -> str:
    """One principle with its reasons."""
    return f"{principle.title}. {principle.rule}\n\n{principle.reasons}".rstrip("\n")
