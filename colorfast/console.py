"""The terminal: one console on stderr for progress, and a bar with the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)


@contextmanager
def progress(title: str, total: int | None, done: int = 0) -> Iterator[Callable[..., None]]:
    """A bar with time left; yields `advance(n=1, note="")`. On a plain pipe it prints the title alone."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    if not console.is_terminal:
        console.print(f"{title} ...", markup=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=total, completed=done, note="")

        def advance(n: int = 1, note: str = "") -> None:
            bars.update(task, advance=n)
            if note:
                bars.update(task, note=note)

        yield advance
