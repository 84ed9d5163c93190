"""The app, and how commands join it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from typer import Option
from typer.core import TyperGroup

from colorfast import __version__

Command = TypeVar("Command", bound=Callable[..., Any])
PANELS = ("Train", "Score and report", "Attack", "Corpus and graders", "Export", "Set up")
TRAIN, SCORE, ATTACK, CORPUS, EXPORT, SETUP = PANELS


class _InPanels(TyperGroup):
    """The commands in the order of their panels."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, for `--help`."""
        panels = {name: getattr(c, "rich_help_panel", None) for name, c in self.commands.items()}
        return sorted(panels, key=lambda name: PANELS.index(panels[name]))


app = typer.Typer(
    cls=_InPanels,
    help=(
        "Train a language model with a small dose of beneficial-trait RL, and measure what the dose"
        " did."
    ),
    epilog="Start with: `colorfast run quick`",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def examples(*commands: str) -> str:
    """The end of a command's help: one example a line."""
    lines = [f"- `colorfast {command}`" for command in commands]
    return "Examples:\n\n" + "\n".join(lines)


def command(panel: str, *commands: str, group: typer.Typer = app) -> Callable[[Command], Command]:
    """Make a function a command of `group`, in a panel of its help, with examples."""
    return group.command(rich_help_panel=panel, epilog=examples(*commands))


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"colorfast {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
