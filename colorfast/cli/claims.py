"""The command on the paper's claims."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.box import HORIZONTALS
from rich.table import Table
from rich.text import Text

from colorfast.cli.shown import Json, out, print_json

app = typer.Typer()
STYLES = {"replicated": "bold green", "not replicated": "bold red", "not measured": "dim"}


@app.command(
    epilog=(
        "Examples: `colorfast claims runs/quick` - `colorfast claims runs/dose --arm trait-25"
        " --json`"
    )
)
def claims(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    arm: Annotated[
        str | None,
        typer.Option(
            help=(
                "The arm to hold the claims on trait RL against; else the one of the dose nearest"
                " to 5%."
            )
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold the paper's claims against a finished run: replicated, not replicated, inconclusive or
    not measured, and why."""
    from colorfast.analysis.claims import rulings
    from colorfast.analysis.results import load
    from colorfast.report.csvs import claim
    from colorfast.report.rulings import ABOUT, held, ours, tally, why

    found = rulings(load(run), arm)
    if as_json:
        print_json([claim(r) for r in found])
        return
    table = Table(
        "verdict",
        "claim",
        title=f"{run}: the paper's claims",
        title_justify="left",
        box=HORIZONTALS,
        show_edge=False,
    )
    for r in found:
        numbers = f"paper: {r.claim.paper}" + f"\nhere, {held(r)}: {ours(r)}" * (
            r.measured is not None
        )
        told = Text.assemble((r.claim.text, "bold"), f"\n{numbers}\n{why(r)}")
        table.add_row(Text(r.verdict, style=STYLES.get(r.verdict, "")), told, end_section=True)
    out.print(table)
    out.print(f"{tally(found)}. {ABOUT}", markup=False)
