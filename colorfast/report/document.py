"""The parts of a report as data. `markdown` and `html` show them; only these two escape text."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from colorfast.report.table import Cell, Table
from colorfast.report.wording import LONGEST
from colorfast.types import Message

TEXT = tomllib.loads((Path(__file__).parent / "text.toml").read_text(encoding="utf-8"))
"""Texts that are the same in every run."""


@dataclass(frozen=True)
class Paragraph:
    """`style`: a class of the page's style sheet; "verdict" is bold in Markdown. `target`: the id
    of the section that the page links to."""

    text: str
    style: str = "small"
    target: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list; with a title it stands in a box."""

    items: Sequence[str | Cell]
    title: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing, left out where there is none of this name. `title`: for a reader who cannot see
    it."""

    name: str
    title: str
    caption: str


@dataclass(frozen=True)
class Answer:
    """One reply. `score`: in words."""

    who: str
    text: str
    score: str


@dataclass(frozen=True)
class Exchange:
    """A conversation and several replies to it.

    `change`: how the score changed, in words, and `sign` whether it rose or fell. `fields`: what a
    reader of the page can filter by. `folded`: opens at a click. `everywhere`: stands in Markdown
    too. `longest`: characters of a text that are shown.
    """

    title: str
    answers: Sequence[Answer]
    messages: Sequence[Message] = ()
    who: str = ""
    detail: str = ""
    change: str = ""
    sign: int = 0
    criteria: Table | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    folded: bool = False
    everywhere: bool = True
    longest: int = LONGEST


@dataclass(frozen=True)
class Section:
    """A heading with what follows. Sections hold sections. `folded`: opens at a click."""

    title: str
    blocks: Sequence[Block]
    id: str = ""
    folded: bool = False


Block = str | Paragraph | Bullets | Table | Figure | Exchange | Section


def note(name: str) -> str:
    """A text that is the same in every run."""
    return " ".join(TEXT["notes"][name].split())


def figure(name: str) -> Figure:
    """A figure with its title and caption."""
    return Figure(name, **TEXT["figures"][name])


def section(name: str, *blocks: Block) -> Section:
    """A section of the report, with its title and the paragraph that it begins with."""
    text = TEXT["sections"][name]
    opening = [text["text"]] if "text" in text else []
    closing = [Paragraph(text["note"])] if "note" in text else []
    return Section(text["title"], [*opening, *blocks, *closing], name)


def titled(table: Table) -> Section:
    """A table under its title."""
    return Section(table.title, [table])
