"""How commands print: lines, tables and JSON on stdout."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 10_000
_STEERING = re.compile(
    r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
out = Console(highlight=False)
if not out.is_terminal:
    out.width = PIPE_WIDTH  # a pipe has no edge at which an id would be cut


def say(text: str) -> None:
    """Print one line as it is: no markup, no line breaks of ours."""
    out.print(text, markup=False, soft_wrap=True)


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows under a title; their keys are the columns."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    columns: dict[str, None] = {}
    for row in rows:
        columns |= dict.fromkeys(row)
    for column in columns:
        justify = "right" if table.columns else "left"
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*[_cell(row.get(column, "")) for column in columns])
    out.print(table)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)


def print_json(value: Any) -> None:
    """Print readable JSON. Characters that would steer a terminal become \\u escapes: the text may
    be a model's."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    sys.stdout.write(_STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")
