"""Constitutions: a list of principles in Markdown, as text for a model, as a rubric for a judge,
and as criteria for code.

`NAME.md` holds the principles, one a heading; `NAME.toml` beside it, if there is one, how code can
see each of them kept or broken.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import Field, TypeAdapter, ValidationError

from colorfast.io.downloads import fetch, source
from colorfast.io.folders import Folder
from colorfast.io.validation import check_known, nearest, one_line, read_text, read_toml
from colorfast.types import ColorfastError, Criterion, Frozen, Principle, Task

HOME = Path(__file__).parent / "constitutions"
MODEL_SPEC = "model-spec"
"""OpenAI's Model Spec (CC0), fetched at a pinned commit."""
SOURCE = source("openai/model_spec", "model_spec.md")
MOST = 16
"""Principles that one reply is judged by; of a longer list so many are drawn for each task by its
name (as Constitutional AI draws, arXiv 2212.08073), because a judge that marks sixty lines in one
answer marks none of them well."""
RULE_WORDS, REASON_WORDS = 60, 150
_MARKS = re.compile(r"\s*\{#[^}]*\}\s*$")
Constitution = tuple[Principle, ...]


def names() -> list[str]:
    """The constitutions shipped (a Markdown file with its criteria), and the Model Spec."""
    return [*Folder("constitution", "corpus/constitutions", ".toml").names(), MODEL_SPEC]


@cache
def load(name: str) -> Constitution:
    """A shipped constitution by name, or a Markdown file by path. Raises ColorfastError when it is
    missing, holds no principle, or its criteria are not of its principles."""
    path = Path(name)
    if name == MODEL_SPEC:
        path = fetch(SOURCE)
    elif name in names():
        path = HOME / f"{name}.md"
    elif not path.is_file():
        raise ColorfastError(f"constitution {name!r}: no such file; {nearest(name, names())}")
    found = {p.name: p for p in _principles(read_text(path))}
    if not found:
        raise ColorfastError(
            f"{path}: no principles; each is a heading with text of its own under it"
        )
    beside = path.with_suffix(".toml")
    return tuple((found | _with_criteria(found, beside) if beside.is_file() else found).values())


def _principles(text: str) -> Iterator[Principle]:
    """One for each heading with text under it. Where headings carry an authority, as in the Model
    Spec, those that do are the principles; otherwise headings of the first level are titles of
    chapters, if there are deeper ones."""
    parts: list[tuple[int, str, list[str]]] = []
    tokens = MarkdownIt().parse(text)
    for before, token in pairwise(tokens):
        if token.type != "inline":
            continue
        if before.type == "heading_open":
            parts.append((int(before.tag[1]), _plain(token), []))
        elif (
            parts
            and before.type == "paragraph_open"
            and not token.content.startswith(("!!!", "**Example**"))
        ):
            parts[-1][2].append(_plain(token))
    marked = [part for part in parts if "authority=" in part[1]]
    deeper = [part for part in parts if part[0] > 1]
    for _, title, paragraphs in marked or deeper or parts:
        if paragraphs:
            title = _MARKS.sub("", title)
            rule, rest = _rule(paragraphs)
            yield Principle(name=_slug(title), title=title, rule=rule, reasons=_reasons(rest))


def _plain(token: Token) -> str:
    """The words of a line of Markdown: of a link what it is called, or the section it points to; no
    marks, no footnotes."""
    words, target = [], ""
    for child in token.children or []:
        if child.type == "link_open":
            target = str(child.attrs.get("href", "")).lstrip("#").replace("_", " ")
        elif child.type in ("softbreak", "hardbreak"):
            words.append(" ")
        else:
            words.append(target if child.content == "?" else child.content)
    return " ".join(re.sub(r"\[\^\w+\]", "", "".join(words)).split())


def _rule(paragraphs: Sequence[str]) -> tuple[str, list[str]]:
    """(the rule, what follows): the first paragraph, or the first sentence of a long one."""
    first, rest = paragraphs[0], list(paragraphs[1:])
    while first.endswith(":") and rest:  # a rule that a list completes
        first = f"{first} {rest.pop(0)}"
    if len(first.split()) <= RULE_WORDS:
        return first, rest
    sentence, *more = re.split(r"(?<=[.!?]) ", first, maxsplit=1)
    return sentence, [*more, *rest]


def _reasons(paragraphs: Sequence[str]) -> str:
    kept: list[str] = []
    for paragraph in paragraphs:
        if len(" ".join([*kept, paragraph]).split()) > REASON_WORDS:
            break
        kept.append(paragraph)
    return "\n\n".join(kept)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower().replace("'", "").replace("’", "")).strip("-")


class _Line(Frozen):
    text: str
    grader: str
    args: dict[str, Any] = Field(default_factory=dict)


class _Lines(Frozen):
    """How code sees one principle kept or broken."""

    keeps: tuple[_Line, ...] = Field(min_length=1)
    breaks: tuple[_Line, ...] = ()


def _with_criteria(found: dict[str, Principle], path: Path) -> dict[str, Principle]:
    """The principles that the file has lines for. Each has an equal share of the credit, and its
    lines share that equally."""
    raw = read_toml(path)
    deduction = raw.pop("deduction", 0.25)
    if not isinstance(deduction, (int, float)) or not 0 <= deduction <= 1:
        raise ColorfastError(
            f"{path}: deduction: wants a number from 0 to 1, found {str(deduction)[:40]!r}"
        )
    try:
        lines = TypeAdapter(dict[str, _Lines]).validate_python(raw)
    except ValidationError as error:
        raise ColorfastError(f"{path}: {one_line(error, _Lines)}") from None
    check_known(f"principle in {path.name}", lines, found)
    made = {}
    for name, own in lines.items():
        credits_ = [
            Criterion(**line.model_dump(), weight=1 / len(lines) / len(own.keeps))
            for line in own.keeps
        ]
        faults = [Criterion(**line.model_dump(), weight=-deduction) for line in own.breaks]
        made[name] = found[name].model_copy(update={"criteria": (*credits_, *faults)})
    return made


def for_code(principles: Constitution) -> bool:
    """Can code see anything of it, or does it take a judge?"""
    return any(p.criteria for p in principles)


def rubric(principles: Constitution, task: Task) -> tuple[Criterion, ...]:
    """What a reply to the task is graded by: the criteria of the principles; where they have none,
    the principles themselves, for a judge."""
    if for_code(principles):
        return tuple(c for p in principles for c in p.criteria)
    drawn = random.Random(f"principles-{task.id}").sample(principles, min(MOST, len(principles)))
    lines = [f"Keeps to this, or has no occasion to: {p.title}. {p.rule}" for p in drawn]
    return tuple(Criterion(text=line, weight=1 / len(drawn), grader="judged") for line in lines)


def rewarded(task: Task, principles: Constitution) -> Task:
    """The task judged by the constitution instead of its own rubric, and without its known replies,
    which belong to that."""
    return task.model_copy(update={"rubric": rubric(principles, task), "replies": {}})


def short(principles: Constitution) -> str:
    """All of it in a form that fits a system message."""
    return "\n".join(["Keep to these principles:", *(f"- {p.title}: {p.rule}" for p in principles)])


def whole(principle: Principle) -> str:
    """One principle with its reasons."""
    return "\n\n".join(
        part for part in (f"{principle.title}. {principle.rule}", principle.reasons) if part
    )
