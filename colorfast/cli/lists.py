"""Commands that list what is shipped: benchmarks, experiments."""

from __future__ import annotations

from typing import Any

import typer

from colorfast.cli.shown import Json, out, print_json, table_of

app = typer.Typer()


@app.command(epilog="Example: `colorfast benchmarks --json`")
def benchmarks(as_json: Json = False) -> None:
    """List the benchmarks: family, kind, items, licence and source."""
    from colorfast import benchmarks as bench

    rows = []
    for name in bench.names():
        b = bench.get(name)
        source = ", ".join(f"{s.repo}/{s.path}" for s in b.sources)
        licence = ", ".join(sorted({s.licence for s in b.sources}))
        rows.append(
            {
                "id": b.id,
                "family": b.family,
                "kind": b.kind,
                "items": len(b.items()),
                "licence": licence,
                "control": b.control,
                "source": source,
            }
        )
    if as_json:
        print_json(rows)
        return
    table = table_of(f"{len(rows)} benchmarks", "id", "family", "kind", "items", "licence")
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("id", "family", "kind", "items", "licence")))
    out.print(table)


@app.command(epilog="Example: `colorfast experiments --json`")
def experiments(as_json: Json = False) -> None:
    """List the shipped experiments."""
    from colorfast import experiment as exp

    rows: list[dict[str, Any]] = []
    for name in exp.names():
        e = exp.load(name)
        rows.append(
            {
                "name": e.name,
                "about": e.about,
                "model": e.model,
                "steps": e.training.steps,
                "arms": {n: a.dose for n, a in e.arms.items()},
                "seeds": list(e.seeds),
            }
        )
    if as_json:
        print_json(rows)
        return
    table = table_of(f"{len(rows)} experiments", "name", "model", "steps", "arms", "seeds", "about")
    for row in rows:
        table.add_row(row["name"], row["model"], str(row["steps"]), ", ".join(row["arms"]), str(len(row["seeds"])), row["about"])
    out.print(table)
