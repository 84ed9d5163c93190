"""The command line. Every problem a user can mend is one line on stderr and exit code 2."""

from __future__ import annotations

import errno
import logging
import os
import warnings
from typing import Annotated

import typer

from colorfast import __version__
from colorfast.cli import attack, claims, corpus, doctor, export, fetch, lists, runs, scores, show
from colorfast.io.console import console
from colorfast.types import ColorfastError

app = typer.Typer(
    name="colorfast",
    help=(
        "Train a language model with a small dose of beneficial-trait RL, and measure what the dose"
        " did."
    ),
    epilog="Start with: colorfast run quick",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for part in (
    doctor,
    fetch,
    runs,
    show,
    claims,
    scores,
    attack,
    corpus,
    export,
    lists,
):  # the order of --help
    app.add_typer(part.app)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"colorfast {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


INTERRUPTED = 130
"""The exit code after Ctrl-C."""
STOPPED = "stopped; the same command continues"


def _calm() -> None:
    """Libraries' notices are not the user's business; errors still come through."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")  # one progress bar is enough, and it is ours
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)


def main() -> None:
    """The entry point: turns what a user can mend into one line and exit code 2."""
    _calm()
    try:
        app()
    except ColorfastError as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True, style="red")
        raise SystemExit(2) from None
    except KeyboardInterrupt:  # before the command has begun
        console.print(STOPPED, markup=False)
        raise SystemExit(INTERRUPTED) from None
    except SystemExit as ended:  # typer makes this of Ctrl-C, and says nothing
        if ended.code == INTERRUPTED:
            console.print(STOPPED, markup=False)
        raise
    except Exception as error:
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
            console.print(
                "error: the disk is full; free some space and run the same command again",
                style="red",
            )
            raise SystemExit(2) from None
        # a path that the user gave: a folder that is a file, a file that may not be read
        if isinstance(error, OSError) and error.filename:
            console.print(
                f"error: {error.filename}: {error.strerror}",
                markup=False,
                soft_wrap=True,
                style="red",
            )
            raise SystemExit(2) from None
        raise
