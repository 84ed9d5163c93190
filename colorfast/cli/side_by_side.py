"""Replies side by side, drawn for a terminal or as plain data for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from colorfast.report.wording import number, short, signed

if TYPE_CHECKING:
    from colorfast.report.replies import CriterionScore, GradedReply, ItemReplies

NARROWEST = 36
"""Columns that a reply needs; more arms than fit are drawn in further rows."""


def plain(asked: ItemReplies) -> dict[str, object]:
    """One group of replies as plain data."""
    said = [asdict(reply) for reply in asked.replies]
    prompt = asked.prompt and [message.model_dump() for message in asked.prompt]
    names = {"item": asked.item, "key": asked.key, "note": asked.note}
    return names | {"prompt": prompt, "said": said}


def drawn(asked: ItemReplies, width: int) -> Group:
    """The prompt, and under it the replies in as many columns as fit."""
    note = f" ({asked.note})" if asked.note else ""
    lines = [_safe(f"\n{asked.item}, {asked.key}{note}", "bold")]
    for message in asked.prompt or ():
        style = "dim" if message.role == "system" else ""
        lines.append(_safe(f"{message.role}: {message.content}", style))
    if not asked.prompt:
        lines.append(Text("(the prompt is not in today's files)", style="dim"))
    columns = max(1, min(len(asked.replies), width // NARROWEST))
    table = Table.grid(expand=True, padding=(0, 1))
    for _ in range(columns):
        table.add_column(ratio=1)
    panels = [_panel(reply) for reply in asked.replies]
    for first in range(0, len(panels), columns):
        table.add_row(*panels[first : first + columns])
    return Group(*lines, table)


def _safe(text: str, style: str = "") -> Text:
    """A model's words as they are: no markup, no terminal escapes."""
    return Text(short(text), style=style)


def _panel(reply: GradedReply) -> Panel:
    marks = []
    if reply.advantage is not None:
        marks.append(f"advantage {signed(reply.advantage, 2)}")
    if reply.shown:
        marks.append("shown, not sampled")
    if reply.truncated:
        marks.append("cut off")
    body: list[RenderableType] = [Text(", ".join(marks), style="dim")] if marks else []
    body.append(_safe(reply.text) if reply.text.strip() else Text("(nothing said)", style="dim"))
    if reply.reason:
        body.append(_safe(reply.reason, "yellow"))
    if reply.critique:
        body.append(_safe(f"critique: {reply.critique}", "dim"))
    body += map(_criterion, reply.parts)
    score = "ungraded" if reply.score is None else number(reply.score, 2)
    return Panel(Group(*body), title=_safe(f"{reply.who} · {score}", "bold"), title_align="left")


def _criterion(part: CriterionScore) -> Text:
    value = part.value
    if value is None:
        mark, style = "?", "yellow"
    elif part.weight < 0:
        mark, style = ("✗", "red") if value else ("-", "dim")
    elif value >= 1:
        mark, style = "✓", "green"
    else:
        mark, style = ("½", "green") if value else ("✗", "red")
    return _safe(f"{mark} {signed(part.weight, 2)} {part.criterion}", style)
