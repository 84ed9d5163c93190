"""Commands that list what is shipped: benchmarks, experiments."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from colorfast.cli.shown import Json, out, print_json, table_of

app = typer.Typer()


@app.command(
    epilog=(
        "Examples: `colorfast benchmarks` - `colorfast benchmarks --suite health` - `colorfast"
        " benchmarks --json`"
    )
)
def benchmarks(
    suite: Annotated[
        str, typer.Option(help="Only those of a suite; they are listed below the table.")
    ] = "all",
    as_json: Json = False,
) -> None:
    """List the benchmarks: family, kind, items, trait, licence, source, and the suites that hold
    them.

    Items are counted where the files are on this machine; `colorfast fetch SUITE` brings them.
    """
    from colorfast.evals import benchmarks as bench
    from colorfast.io.downloads import there
    from colorfast.io.validation import check_known

    check_known("suite", [suite], bench.SUITES)
    suites = {name: set(bench.suite(name)) for name in bench.SUITES}
    rows = []
    for name in bench.suite(suite):
        b = bench.get(name)
        source = ", ".join(f"{s.repo}/{s.path}" for s in b.sources)
        licence = ", ".join(sorted({s.licence for s in b.sources}))
        rows.append(
            {
                "id": b.id,
                "family": b.family,
                "kind": b.kind,
                "items": len(b.items()) if all(map(there, b.sources)) else None,
                "licence": licence,
                "control": b.control,
                "trait": b.trait,
                "suites": [s for s in bench.SUITES if name in suites[s]],
                "paper": ", ".join(dict.fromkeys(s.paper for s in b.sources if s.paper)),
                "source": source,
                "commits": sorted({s.commit for s in b.sources}),
                "sha256": [s.sha256 for s in b.sources],
            }
        )
    if as_json:
        print_json(rows)
        return
    table = table_of(
        f"{len(rows)} benchmarks", "id", "family", "kind", "items", "licence", "source"
    )
    for row in rows:
        items = "-" if row["items"] is None else str(row["items"])
        first = (row["id"], row["family"], row["kind"], items, row["licence"], row["source"])
        table.add_row(*map(str, first))
    out.print(table)
    uncounted = sum(row["items"] is None for row in rows)
    if uncounted:
        out.print(
            f"-: {uncounted} benchmarks have files that are not on this machine; `colorfast fetch"
            f" {suite}` brings them",
            markup=False,
            soft_wrap=True,
        )
    for name, about in bench.SUITES.items():
        counted = sum(not bench.get(b).control for b in suites[name])
        out.print(
            f"{name}: {len(suites[name])}, {counted} of them counted as wins or losses; {about}"
        )


@app.command(epilog="Example: `colorfast experiments --json`")
def experiments(as_json: Json = False) -> None:
    """List the shipped experiments."""
    from colorfast.runs import experiment

    rows: list[dict[str, Any]] = []
    for name in experiment.names():
        e = experiment.read(name)
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
        table.add_row(
            row["name"],
            row["model"],
            str(row["steps"]),
            ", ".join(row["arms"]),
            str(len(row["seeds"])),
            row["about"],
        )
    out.print(table)
