"""The command that brings the files of others: fetch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colorfast.cli.shown import Json, out, print_json
from colorfast.io.console import console

if TYPE_CHECKING:
    from colorfast.evals.reach import Lack, Needs, Parts

app = typer.Typer()
ATTACKS = "attacks"
"""The name that stands for all that `colorfast attack` reads."""


@app.command(
    epilog=(
        "Examples: `colorfast fetch quick` - `colorfast fetch my.toml` - `colorfast fetch standard"
        " attacks` - `colorfast fetch truthfulqa-mc1 xstest-safe --json`"
    )
)
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help=(
                "Experiments (shipped, or a TOML), suites, benchmarks, or `attacks`; quick when"
                " left out."
            )
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Download everything that they need, so that they work without a network. Exit code 1 if
    something cannot be reached.

    Of an experiment: benchmark files, the model, and the encoder where a grader needs it. What is
    here is not downloaded again.
    """
    from colorfast.evals.reach import lacking

    needs, models = _needed(names or ["quick"])
    lacks = lacking(needs, models)
    summary = _summary(needs, models, lacks)
    if as_json:
        print_json(summary)
    else:
        where = f", in {summary['folder']}" if summary["files"] else ""
        out.print(
            f"{_counted(summary)}, {summary['bytes'] / 1e6:.1f} MB{where}",
            markup=False,
            soft_wrap=True,
        )
        for lack in lacks:
            named = "" if lack.what in lack.who else f" ({', '.join(lack.who)})"
            line = f"missing: {lack.what}{named}: {lack.why}"
            console.print(line, markup=False, soft_wrap=True, style="red")
    if lacks:
        raise typer.Exit(1)


def _needed(names: Sequence[str]) -> tuple[Needs, Parts]:
    """The files and models of all these names. Raises ColorfastError for one that is not known."""
    from colorfast.attacks.plan import needs as attack_needs
    from colorfast.attacks.registry import every as every_attack
    from colorfast.evals import benchmarks, reach
    from colorfast.io.validation import check_known
    from colorfast.runs import experiment

    known = [ATTACKS, *experiment.names(), *benchmarks.SUITES, *benchmarks.names()]
    files = (".toml", ".py")
    check_known(
        "experiment, suite or benchmark", [n for n in names if not n.endswith(files)], known
    )
    needs: dict[str, Any] = {}
    models: dict[str, Any] = {}
    for name in names:
        if name in experiment.names() or name.endswith(".toml"):
            read = experiment.read(name)
            needs |= reach.of_benchmarks(read.evaluation.benchmarks)
            needs |= reach.of_training(read)
            models |= reach.parts(read)
        elif name == ATTACKS:
            needs |= attack_needs(every_attack())
        else:
            needs |= reach.of_benchmarks(benchmarks.expand([name]))
    return needs, models


def _summary(needs: Needs, models: Parts, lacks: Sequence[Lack]) -> dict[str, Any]:
    """What is here now and what is not, as plain data."""
    from colorfast.io.downloads import data_dir, place

    missing = {lack.what for lack in lacks}
    every = list(dict.fromkeys(file for files in needs.values() for file in files))
    here = [file for file in every if f"{file.repo}/{file.path}" not in missing]
    folders = {name: bring() for name, bring in models.items() if name not in missing}
    kept = [path for folder in folders.values() for path in folder.rglob("*") if path.is_file()]
    return {
        "folder": str(data_dir()),
        "files": len(here),
        "of": len(every),
        "models": {name: str(folder) for name, folder in folders.items()},
        "bytes": sum(path.stat().st_size for path in [*map(place, here), *kept]),
        "missing": [
            {"file": lack.what, "of": list(lack.who), "reason": lack.why} for lack in lacks
        ],
    }


def _counted(summary: dict[str, Any]) -> str:
    files = f"{summary['files']} of {summary['of']} files here"
    return ", ".join([files, *summary["models"]])
