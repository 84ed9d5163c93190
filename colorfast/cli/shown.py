"""What the commands share: how a table and JSON are printed, and the options that several take."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

_STEERING = re.compile(
    r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
out = Console(highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Out = Annotated[Path, typer.Option("--out", help="Folder that holds run folders.")]


def table_of(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    return table


def print_json(value: Any) -> None:
    """Readable text, but what would steer a terminal is written as \\u escapes: it may be a
    model's."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    sys.stdout.write(_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
