"""The terminal: one console on stderr for progress, a bar with the time left, and a table that is
kept up to date."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True, highlight=False)
HALF_A_MINUTE = 30.0
A_SECOND, TEN_MINUTES = 1.0, 600.0


@contextmanager
def live(
    draw: Callable[[], RenderableType], line: Callable[[], str] | None = None
) -> Iterator[None]:
    """Keep what `draw` returns on the terminal, drawn anew every second, with any progress bar
    under it. On a plain pipe print what `line` returns, as soon as it is not empty and then every
    ten minutes."""
    if console.is_terminal:
        with Live(get_renderable=draw, console=console, refresh_per_second=1):
            yield
    elif line:
        with _repeated(line):
            yield
    else:
        yield


@contextmanager
def _repeated(line: Callable[[], str]) -> Iterator[None]:
    """Print `line()` beside the work that goes on meanwhile."""
    over = threading.Event()

    def tell() -> None:
        pause = A_SECOND
        while not over.wait(pause):
            if text := line():
                console.print(text, markup=False, soft_wrap=True)
                pause = TEN_MINUTES

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _told_every(
    seconds: float, title: str, total: int | None, done: int
) -> Callable[[int, str], None]:
    """For a plain pipe: says how far it is and what is left, at most every so many seconds."""
    began = told = time.monotonic()
    first = done

    def advance(n: int, note: str) -> None:
        nonlocal done, told
        done, now = done + n, time.monotonic()
        if now - told >= seconds and done > first:
            left = (
                f" of {total}, about {(now - began) / (done - first) * (total - done) / 60:.1f} min"
                " left"
                if total
                else ""
            )
            console.print(
                f"{title}: {done}{left}" + f"; {note}" * bool(note), markup=False, soft_wrap=True
            )
            told = now

    return advance


@contextmanager
def progress(title: str, total: int | None, done: int = 0) -> Iterator[Callable[..., None]]:
    """A bar with time left; yields `advance(n=1, note="")`. On a plain pipe it prints the title,
    and a line every half minute."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    tell = _told_every(HALF_A_MINUTE, title, total, done)
    if not console.is_terminal:
        console.print(f"{title} ...", markup=False)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task(title, total=total, completed=done, note="")

        def advance(n: int = 1, note: str = "") -> None:
            if not console.is_terminal:
                tell(n, note)
            bars.update(task, advance=n)
            if note:
                bars.update(task, note=note)

        yield advance
