"""The command on this machine: doctor."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from colorfast.cli.shown import Json, out, print_json
from colorfast.types import ColorfastError

app = typer.Typer()
STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@app.command(
    epilog=(
        "Examples: `colorfast doctor` - `colorfast doctor --endpoint http://localhost:8000/v1"
        " --model NAME` - `colorfast doctor --json`"
    )
)
def doctor(
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="Base URL of an OpenAI-compatible server to try; its key stands in OPENAI_API_KEY."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="The model to ask there.")] = "",
    as_json: Json = False,
) -> None:
    """Say what this machine can do, and what to change. Exit code 1 if something is in the way of
    `colorfast run quick`."""
    from colorfast.cli import diagnose

    if bool(endpoint) != bool(model):
        raise ColorfastError(
            "--endpoint and --model go together: the server's base URL, and the name of a model"
            " on it"
        )
    found = diagnose.examine(endpoint, model)
    fine = diagnose.possible(found)
    if as_json:
        print_json({"ok": fine, "checks": [asdict(check) for check in found]})
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for _ in range(3):
            table.add_column(overflow="fold")
        for check in found:
            told = Text(check.found)
            if check.advice:
                told.append(
                    f"\n{check.advice}", style=STYLES[check.state] if check.state != "ok" else "dim"
                )
            table.add_row(Text(check.state, style=STYLES[check.state]), Text(check.name), told)
        out.print(table)
        out.print(
            "nothing is in the way: colorfast run quick"
            if fine
            else "see the problems above, then run colorfast doctor again"
        )
    if not fine:
        raise typer.Exit(1)
