"""The command line. Every problem that a user can fix is one line on stderr and exit code 2."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import warnings

import typer

from colorfast.cli.app import app
from colorfast.io.console import note
from colorfast.types import ColorfastError

COMMANDS = ("attack", "corpus", "doctor", "export", "fetch", "graders", "report", "runs", "score")
for module in COMMANDS:  # each registers its commands
    importlib.import_module(f"colorfast.cli.{module}")

INTERRUPTED = 130
"""The exit code after Ctrl-C."""
RENAMED = {"--save": "--out", "--to": "--out"}
UsageError = typer.BadParameter.__mro__[1]  # of click, which newer versions of typer bring along


def _silence_libraries() -> None:
    """Libraries' notices are not the user's business; errors still come through."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")  # one progress bar is enough, and it is ours
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)


def main() -> None:
    """The entry point: turns what a user can fix into one line and exit code 2."""
    _silence_libraries()
    try:
        code = app(prog_name="colorfast", standalone_mode=False)
    except KeyboardInterrupt:  # before the command has begun
        code = INTERRUPTED
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        if message:
            note(f"error: {message}", style="red")
        raise SystemExit(2) from None
    if code == INTERRUPTED:
        note("stopped; the same command continues")
    if code:
        raise SystemExit(code)


def _message(error: Exception) -> str | None:
    """The one line for an error that a user can fix; None for a fault of the program."""
    if isinstance(error, ColorfastError):
        return str(error)
    if isinstance(error, UsageError):
        return _usage(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
        return "the disk is full; free some space and run the same command again"
    # A path that the user gave: a folder that is a file, a file that may not be read.
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return None


def _usage(error: Exception) -> str:
    """What is wrong with the options; "" where the help was printed instead."""
    message: str = error.format_message()  # type: ignore[attr-defined]
    text = " ".join(message.split()).rstrip(".").replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    old = getattr(error, "option_name", "")
    if old in RENAMED:
        text = f"{old} is now {RENAMED[old]}"
    return f"{text}; see {context.command_path} --help" if text and context else text
