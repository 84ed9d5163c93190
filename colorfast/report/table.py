"""One table as data, for a terminal, Markdown, a page and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Literal

import rich.table
from rich.box import HORIZONTALS
from rich.text import Text

from colorfast.report.wording import between, clean, could_see, digits_of, number, signed
from colorfast.types import Interval

MARKS = {1: "▲ ", -1: "▼ ", 0: ""}
"""Stand beside colors, which never say anything alone."""
STYLES = {1: "bold green", -1: "bold red", 0: ""}
Row = Mapping[str, object]


@dataclass(frozen=True)
class Cell:
    """A value as it is shown.

    `note`: stands small behind the text, like an interval. `sign`: +1 or -1 where an interval lies
    above or below zero. `kind`: an arm is shown with its color, a hash in small type, a verdict
    with its symbol; an arm's score on what it was trained on is framed.
    """

    text: str
    note: str = ""
    sign: int = 0
    kind: Literal["", "arm", "hash", "verdict", "trained"] = ""

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{MARKS[self.sign]}{self.text}{note}"


def cell(value: object) -> Cell:
    """A value ready to be shown: `-` for None, an interval as a difference."""
    match value:
        case Cell():
            return value
        case Interval():
            return difference(value)
        case float():
            return Cell(number(value, digits_of(value)))
        case int():
            return Cell(f"{value:,}")
    return Cell("-" if value is None else str(value))


def difference(i: Interval, digits: int | None = None) -> Cell:
    """A difference with its 95% interval."""
    if digits is None:
        digits = digits_of(max(abs(i.low), abs(i.high)))
    return Cell(signed(i.value, digits), between(i, digits), i.sign)


def with_null(i: Interval, detectable: float | None) -> Cell:
    """A difference with its 95% interval; where that holds zero, with what could have been seen."""
    change = difference(i)
    return change if i.sign else Cell(change.text, f"{change.note}; {could_see(detectable)}")


@dataclass(frozen=True)
class Table:
    """Rows with the same named fields; a field's name is its column's heading.

    `words`: columns that hold words and are flush left, beside the first. `group`: a field whose
    value stands above the rows that share it. `layout`: a class of the page's style sheet.
    """

    title: str
    rows: Sequence[Row]
    words: Collection[str] = ()
    group: str = ""
    layout: str = ""

    @property
    def columns(self) -> list[str]:
        """Headings, without the group's."""
        names = dict.fromkeys(chain.from_iterable(self.rows))
        return [name for name in names if name != self.group]

    def holds_words(self, column: str) -> bool:
        """Whether a column is flush left."""
        return column == self.columns[0] or column in self.words

    def groups(self) -> Iterator[tuple[str, list[Row]]]:
        """Neighboring rows that share the group's value."""
        for name, rows in groupby(self.rows, lambda row: str(row.get(self.group, ""))):
            yield name, list(rows)

    def merged(self, rows: Sequence[Row]) -> Iterator[tuple[Cell, list[Row]]]:
        """Neighboring rows that share their first cell, with that cell."""
        for first, same in groupby(rows, lambda row: cell(row[self.columns[0]])):
            yield first, list(same)


def as_csv(rows: Sequence[Row], columns: Sequence[str] = ()) -> str:
    """Rows under a line of column names, those of the first row when left out."""
    out = io.StringIO()
    lines = csv.DictWriter(out, columns or list(rows[0]), lineterminator="\n")
    lines.writeheader()
    lines.writerows(rows)
    return out.getvalue()


def as_rich(table: Table) -> rich.table.Table:
    """The table for a terminal. Long values are folded, and what a model wrote is cleaned."""
    grid = rich.table.Table(
        title=Text(clean(table.title), style="bold") if table.title else None,
        title_justify="left",
        box=HORIZONTALS,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for name in table.columns:
        justify: Literal["left", "right"] = "left" if table.holds_words(name) else "right"
        grid.add_column(Text(clean(name)), justify=justify, overflow="fold")
    for group, rows in table.groups():
        if group:
            grid.add_section()
            grid.add_row(Text(clean(group), style="italic dim"))
        for row in rows:
            cells = [cell(row.get(name, "")) for name in table.columns]
            grid.add_row(*(Text(clean(str(c)), style=STYLES[c.sign]) for c in cells))
    return grid
