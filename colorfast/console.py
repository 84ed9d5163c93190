"""The terminal: one console on stderr for progress, a bar with the time left, and a table that is kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)


@contextmanager
def live(draw: Callable[[], RenderableType]) -> Iterator[None]:
    """Keep what `draw` returns on the terminal, drawn anew every second, with any progress bar under it; nothing on a plain pipe."""
    if not console.is_terminal:
        yield
        return
    with Live(get_renderable=draw, console=console, refresh_per_second=1):
        yield


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
