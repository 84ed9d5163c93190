"""The command on this machine: doctor."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.table import Table
from rich.text import Text

from colorfast.cli.app import SETUP, command
from colorfast.cli.options import EndpointModel, EndpointUrl, Json, check_together
from colorfast.cli.output import out, print_json

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@command(SETUP, "doctor", "doctor --endpoint http://localhost:8000/v1 --model NAME")
def doctor(endpoint: EndpointUrl = None, model: EndpointModel = "", as_json: Json = False) -> None:
    """Check what this machine can do, and say what to change.

    Exit code 1 if `colorfast run quick` cannot work here.
    """
    from colorfast.cli.diagnose import examine, possible

    check_together("--endpoint", endpoint, model)
    checks = examine(endpoint, model)
    if as_json:
        print_json({"ok": possible(checks), "checks": [asdict(check) for check in checks]})
    else:
        table = Table.grid(padding=(0, 1))
        for check in checks:
            style = STYLES[check.state]
            text = Text(check.found)
            if check.advice:
                text.append(f"\n{check.advice}", style="dim" if check.state == "ok" else style)
            table.add_row(Text(check.state, style=style), Text(check.name), text)
        out.print(table)
        if possible(checks):
            out.print("nothing is in the way: colorfast run quick")
        else:
            out.print("see the problems above, then run colorfast doctor again")
    if not possible(checks):
        raise typer.Exit(1)
