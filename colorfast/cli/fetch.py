"""The command that downloads what others need: fetch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument

from colorfast.cli.app import SETUP, command
from colorfast.cli.options import Json
from colorfast.cli.output import print_json, say
from colorfast.io.console import note

if TYPE_CHECKING:
    from colorfast.evals.reach import Lack, Needs, Parts

ATTACKS = "attacks"
"""The name for everything that `colorfast attack` reads."""


@command(
    SETUP,
    "fetch quick",
    "fetch my.toml",
    "fetch standard attacks",
    "fetch truthfulqa-mc1 xstest-safe --json",
)
def fetch(
    names: Annotated[
        list[str] | None,
        Argument(
            metavar="NAME...", help="Experiments, suites, benchmarks, or `attacks`; else quick."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Download everything that experiments or benchmarks need, to work without a network.

    For an experiment: benchmark files, the model, and the encoder where a grader needs it. Files
    that are here are not downloaded again. Exit code 1 if something cannot be reached.
    """
    from colorfast.evals.reach import lacking

    needs, models = _needed(names or ["quick"])
    lacks = lacking(needs, models)
    summary = _summary(needs, models, lacks)
    if as_json:
        print_json(summary)
    else:
        parts = [f"{summary['files']} of {summary['of']} files here", *summary["models"]]
        parts.append(f"{summary['bytes'] / 1e6:.1f} MB")
        if summary["files"]:
            parts.append(f"in {summary['folder']}")
        say(", ".join(parts))
        for lack in lacks:
            readers = "" if lack.what in lack.who else f" ({', '.join(lack.who)})"
            note(f"missing: {lack.what}{readers}: {lack.why}", style="red")
    if lacks:
        raise typer.Exit(1)


def _needed(names: Sequence[str]) -> tuple[Needs, Parts]:
    """The files and models of all these names. Raises ColorfastError for an unknown one."""
    from colorfast.attacks.plan import needs as attack_needs
    from colorfast.attacks.registry import every as every_attack
    from colorfast.evals import benchmarks, reach
    from colorfast.io.validation import check_known
    from colorfast.runs import experiment

    known = [ATTACKS, *experiment.names(), *benchmarks.SUITES, *benchmarks.names()]
    shipped = [name for name in names if not name.endswith((".toml", ".py"))]
    check_known("experiment, suite or benchmark", shipped, known)
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
    """What is here and what is missing, as plain data."""
    from colorfast.io.downloads import data_dir, local_path

    missing = {lack.what for lack in lacks}
    sources = {source for files in needs.values() for source in files}
    here = [local_path(s) for s in sources if f"{s.repo}/{s.path}" not in missing]
    folders = {name: bring() for name, bring in models.items() if name not in missing}
    paths = list(here)
    for folder in folders.values():
        paths += [path for path in folder.rglob("*") if path.is_file()]
    return {
        "folder": str(data_dir()),
        "files": len(here),
        "of": len(sources),
        "models": {name: str(folder) for name, folder in folders.items()},
        "bytes": sum(path.stat().st_size for path in paths),
        "missing": [
            {"file": lack.what, "of": list(lack.who), "reason": lack.why} for lack in lacks
        ],
    }
