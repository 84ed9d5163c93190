"""The terminal: one console on stderr for notes and progress."""

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


def note(text: str, style: str | None = None) -> None:
    """Print one line on stderr as it is: no markup, no line breaks of ours."""
    console.print(text, markup=False, soft_wrap=True, style=style)


@contextmanager
def live(
    draw: Callable[[], RenderableType], line: Callable[[], str] | None = None
) -> Iterator[None]:
    """Keep what `draw` returns on the terminal, redrawn every second, above any progress bar.

    On a plain pipe, print what `line` returns as soon as it is not empty, then every ten minutes.
    """
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
    over = threading.Event()

    def repeat() -> None:
        pause = A_SECOND
        while not over.wait(pause):
            if text := line():
                note(text)
                pause = TEN_MINUTES

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def progress(title: str, total: int | None, done: int = 0) -> Iterator[Callable[..., None]]:
    """A bar with the time left; yields `advance(n=1, note="")`. On a plain pipe it prints the
    title, and a line every half minute."""
    if not console.is_terminal:
        note(f"{title} ...")
        yield _lines(title, total, done)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(title, total=total, completed=done, note="")

        def advance(n: int = 1, note: str = "") -> None:
            bars.update(task, advance=n)
            if note:
                bars.update(task, note=note)

        yield advance


def _lines(title: str, total: int | None, first: int) -> Callable[..., None]:
    """For a plain pipe: prints the progress and the time left, at most every half minute."""
    began = printed = time.monotonic()
    done = first

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, printed
        done += n
        now = time.monotonic()
        if now - printed < HALF_A_MINUTE or done <= first:
            return
        printed = now
        text = f"{title}: {done}"
        if total:
            minutes = (now - began) / (done - first) * (total - done) / 60
            text += f" of {total}, about {minutes:.1f} min left"
        if note:
            text += f"; {note}"
        console.print(text, markup=False, soft_wrap=True)

    return advance
