"""Commands on attacks: attack, attacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from typer import Argument, Option

from colorfast.attacks.axes import Axes
from colorfast.cli.app import ATTACK, command
from colorfast.cli.options import Arms, Json, split
from colorfast.cli.output import out, print_json, print_table, say
from colorfast.config import Precision
from colorfast.types import ColorfastError

FINE_TUNING = "Fine-tuning attacks"


@command(
    ATTACK,
    "attack runs/quick",
    "attack runs/quick --attacks persona,many-shot-bad --arms trait-25",
    "attack --models baseline=MODEL,trait=FOLDER --out washed --limit 60",
    "attack runs/quick --attacks wrong-medical,benign --ranks 4,full --steps 8,16,32",
    "attack runs/quick --jobs 2",
)
def attack(
    context: typer.Context,
    run: Annotated[
        Path | None, Argument(metavar="RUN", help="A finished run; every arm is attacked.")
    ] = None,
    models: Annotated[
        str | None, Option(help="Without a run: NAME=MODEL,..., the baseline first.")
    ] = None,
    out_dir: Annotated[
        Path | None,
        Option(
            "--out", help="The folder that gets attacks/. Default: RUN; with --models, ./washed."
        ),
    ] = None,
    arms: Arms = "",
    names: Annotated[
        str,
        Option(
            "--attacks",
            help="Attacks or families; `weights`: all fine-tuning attacks; FILE.jsonl: your rows.",
        ),
    ] = "",
    samples: Annotated[int, Option(min=1, help="Repetitions, each with other wordings.")] = 1,
    items: Annotated[
        int, Option("--items", "--limit", min=2, help="Held-out scenarios at every strength.")
    ] = 24,
    suite: Annotated[str, Option(help="More evals or suites at every strength.")] = "",
    steps: Annotated[
        str, Option(rich_help_panel=FINE_TUNING, help="Steps after which to measure.")
    ] = "4,8,16",
    ranks: Annotated[
        str, Option(rich_help_panel=FINE_TUNING, help="Ranks of LoRA, or full.")
    ] = "32",
    shares: Annotated[
        str, Option(rich_help_panel=FINE_TUNING, help="Shares of harmful rows, 0 to 1.")
    ] = "1",
    learning_rate: Annotated[
        float | None,
        Option(rich_help_panel=FINE_TUNING, help="Default: 1e-4 for LoRA, 1e-5 for full."),
    ] = None,
    batch: Annotated[int, Option(min=1, rich_help_panel=FINE_TUNING, help="Rows per step.")] = 8,
    recover: Annotated[
        int, Option(min=0, rich_help_panel=FINE_TUNING, help="Benign steps after the attack.")
    ] = 0,
    keep: Annotated[
        bool, Option("--keep", rich_help_panel=FINE_TUNING, help="Keep the attacked weights.")
    ] = False,
    precision: Annotated[
        Precision, Option(help="Of matrix products; auto: the run's, or the faster one here.")
    ] = "auto",
    jobs: Annotated[
        int, Option(min=1, help="Arms at once: one a GPU, or sharing the CPU cores.")
    ] = 1,
    cell: Annotated[str, Option(hidden=True)] = "",
    as_json: Json = False,
) -> None:
    """Push every arm toward harm and toward good, and say whether the trait lasts selectively.

    At each strength the evals of the attack have a third as many items. A stopped call continues
    with the same command.
    """
    from colorfast import report
    from colorfast.attacks import plan
    from colorfast.evals.benchmarks import expand
    from colorfast.io.storage import read_json
    from colorfast.io.subprocesses import end_with_parent
    from colorfast.report import attacks as pages

    axes = _axes(
        steps=split(steps),
        ranks=[None if rank == "full" else rank for rank in split(ranks)],
        shares=split(shares),
        learning_rate=learning_rate,
        batch=batch,
        recovery=recover,
    )
    options = plan.Options(
        names=split(names),
        items=items,
        samples=samples,
        axes=axes,
        suite=expand(split(suite)),
        precision=None if precision == "auto" else precision,
    )
    if run is not None and models is None:
        planned = plan.for_run(run, split(arms), options)
    elif models is not None and run is None:
        if arms:
            raise ColorfastError("--arms narrows a run; with --models name only those you want")
        planned = plan.for_models(_models(models), options)
    else:
        raise ColorfastError(
            "give a run folder, or --models baseline=MODEL,trait=MODEL, and not both"
        )
    folder = out_dir or run or Path("washed")
    from colorfast.attacks.run import measure_cell  # imports torch: the options are checked first
    from colorfast.attacks.run import run as run_attacks

    if cell:
        end_with_parent()
        measure_cell(planned, folder, cell)
        return
    run_attacks(planned, folder, keep, jobs, _arguments(context))
    written = [pages.write(folder)]
    if folder == run:
        written.append(report.write(folder))
    results = read_json(folder / plan.HOME / "persistence.json")
    if as_json:
        print_json(results)
        return
    pages.show(results, out)
    say(f"\nreplies stay in {folder / plan.HOME}; report: {', '.join(map(str, written))}")


def _arguments(context: typer.Context) -> list[str]:
    """The same command once more, for one cell."""
    arguments = ["attack"]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        if option.name in ("jobs", "cell", "as_json") or value in (None, False, ""):
            continue
        if option.param_type_name != "argument":
            arguments.append(option.opts[0])
        if value is not True:
            arguments.append(str(value))
    return arguments


def _axes(**values: object) -> Axes:
    from colorfast.io.validation import one_line

    try:
        return Axes.model_validate(values)
    except ValidationError as error:
        raise ColorfastError(f"--{one_line(error, Axes)}") from None


def _models(text: str) -> dict[str, str]:
    models = dict(part.partition("=")[::2] for part in split(text))
    if len(models) < 2 or not all(models.values()):
        raise ColorfastError(
            f"--models {text}: wants two or more, each as name=MODEL, like baseline=A,trait=B"
        )
    return models


@command(ATTACK, "attacks", "attacks --json")
def attacks(as_json: Json = False) -> None:
    """List the attacks: family, axis and strengths, wordings, helpful counterpart, evals."""
    from colorfast.attacks.registry import every

    rows = [
        {
            "id": a.id,
            "family": a.family,
            "axis": a.axis,
            "strengths": list(a.strengths),
            "wordings": a.wordings,
            "counterpart": a.counterpart,
            "evals": list(a.evals),
        }
        for a in every()
    ]
    if as_json:
        print_json(rows)
        return
    harmful = sum(row["counterpart"] not in ("", "none") for row in rows)
    print_table(f"{len(rows)} attacks, {harmful} of them harmful", rows)
