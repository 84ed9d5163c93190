"""A report as Markdown, for a repository or a pager."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from colorfast.report.document import (
    Block,
    Bullets,
    Exchange,
    Figure,
    Paragraph,
    Section,
)
from colorfast.report.table import MARKS, Table, cell
from colorfast.report.wording import clean, short

Drawings = dict[str, str]
"""SVG text by the name of the figure."""


def safe(text: object) -> str:
    """Text on one line, with nothing in it that Markdown or HTML would act on."""
    plain = " ".join(clean(str(text)).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", plain)


def render(title: str, sections: Sequence[Section], drawings: Drawings) -> str:
    """The whole file. The first section has no heading of its own."""
    first, *rest = sections
    parts = [f"# {safe(title)}", *_blocks(first.blocks, drawings, 3)]
    for section in rest:
        parts += _section(section, drawings, 2)
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section, drawings: Drawings, level: int) -> Iterator[str]:
    yield f"{'#' * level} {safe(section.title)}"
    yield from _blocks(section.blocks, drawings, level + 1)


def _blocks(blocks: Sequence[Block], drawings: Drawings, level: int) -> Iterator[str]:
    for block in blocks:
        match block:
            case str():
                yield safe(block)
            case Paragraph():
                yield f"**{safe(block.text)}**" if block.style == "verdict" else safe(block.text)
            case Bullets():
                yield safe(block.title)
                yield "\n".join(f"- {_cell(item)}" for item in block.items)
            case Table():
                yield table(block)
            case Figure() if block.name in drawings:
                yield f"![{safe(block.title)}]({block.name}.svg)"
            case Exchange() if block.everywhere:
                yield from _exchange(block)
            case Section():
                yield from _section(block, drawings, level)
            case Figure() | Exchange():
                pass


def table(table: Table) -> str:
    """A table; the value of its group is the first column."""
    columns = ([table.group] if table.group else []) + table.columns
    lines = [map(safe, columns), ["---"] * len(columns)]
    for row in table.rows:
        lines.append([_cell(row.get(name, "")) for name in columns])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    content = cell(value)
    text = MARKS[content.sign] + safe(content.text)
    if content.kind == "hash":
        text = f"`{text}`"
    if content.sign:
        text = f"**{text}**"
    if content.note:
        text += f" ({safe(content.note)})"
    return f"{text} t" if content.kind == "trained" else text


def _exchange(e: Exchange) -> Iterator[str]:
    yield f"**{safe(' '.join(filter(None, (e.who, e.title))))}** {safe(e.detail)} {safe(e.change)}"
    if e.messages:
        yield f"> {safe(short(e.messages[-1].content, e.longest))}"
    answers = []
    for answer in e.answers:
        text = safe(short(answer.text, e.longest)) or "(empty reply)"
        answers.append(f"- {safe(answer.who)} ({safe(answer.score)}): {text}")
    yield "\n".join(answers)
    if e.criteria:
        yield table(e.criteria)
