"""What the benchmarks share: a table in the terminal, and results in `bench/out`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

OUT = Path(__file__).parent / "out"


def save(name: str, results: Any) -> None:
    """Write `bench/out/NAME.json`."""
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of equal keys as a table. Numbers get three decimals, NaN is a dash."""
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*map(as_text, row.values()))
    Console(width=150).print(table)


def as_text(value: object) -> str:
    """A cell of a table."""
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3f}"
    return str(value)
