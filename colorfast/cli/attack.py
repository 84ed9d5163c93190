"""Commands on attacks: attack, attacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from pydantic import ValidationError

from colorfast.cli.shown import Json, out, print_json, table_of
from colorfast.types import ColorfastError

if TYPE_CHECKING:
    from colorfast.config import Axes

app = typer.Typer()


@app.command(
    epilog=(
        "Examples: `colorfast attack runs/quick` - `colorfast attack runs/quick --attacks"
        " persona,many-shot-bad --arms trait-25` - `colorfast attack --models"
        " baseline=MODEL,trait=FOLDER --out washed --items 60` - `colorfast attack runs/quick"
        " --attacks wrong-medical,benign --ranks 4,full --steps 8,16,32` - `colorfast attack"
        " runs/quick --jobs 2`"
    )
)
def attack(
    context: typer.Context,
    run: Annotated[
        Path | None, typer.Argument(help="A finished run; every arm goes through every attack.")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            help="Models without a run, name=MODEL with commas; the first is the baseline."
        ),
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", help="The folder that gets attacks/: the run's own, or washed."),
    ] = None,
    arms: Annotated[str, typer.Option(help="Only these arms, and the baseline.")] = "",
    names: Annotated[
        str,
        typer.Option(
            "--attacks",
            help=(
                "Only these attacks or families, and their counterparts; `weights` or a JSONL file"
                " of chat rows trains."
            ),
        ),
    ] = "",
    samples: Annotated[
        int, typer.Option(min=1, help="Repetitions of every point, each with other wordings.")
    ] = 1,
    items: Annotated[
        int,
        typer.Option(
            min=2, help="Held-out scenarios at every point; of each eval a third as many."
        ),
    ] = 24,
    suite: Annotated[
        str, typer.Option(help="Evals or suites that every point asks beside its own.")
    ] = "",
    steps: Annotated[
        str, typer.Option(help="Weight attacks: after which optimizer steps to measure.")
    ] = "4,8,16",
    ranks: Annotated[str, typer.Option(help="Weight attacks: ranks of LoRA, or full.")] = "32",
    shares: Annotated[
        str, typer.Option(help="Weight attacks: shares of harmful rows, above 0 and up to 1.")
    ] = "1",
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Weight attacks: in place of 1e-4 for LoRA and 1e-5 for full."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Weight attacks: rows a step.")] = 8,
    recover: Annotated[
        int,
        typer.Option(
            min=0, help="Steps of benign training after each weight attack, measured as one more."
        ),
    ] = 0,
    precision: Annotated[
        str,
        typer.Option(
            help=(
                "What models multiply in: fp32, bf16, or auto (as the run; without one, the faster"
                " as measured here)."
            )
        ),
    ] = "auto",
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the weights that weight attacks make.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, help="Arms at once: one a GPU, or sharing the cores of the CPU.")
    ] = 1,
    cell: Annotated[str, typer.Option(hidden=True)] = "",
    as_json: Json = False,
) -> None:
    """Push every arm towards harm and towards good, and say whether the trait lasts selectively.
    Stopped anywhere, it continues."""
    from colorfast.attacks import plan
    from colorfast.attacks.run import measure_cell
    from colorfast.attacks.run import run as run_attacks
    from colorfast.config import Precision
    from colorfast.evals.benchmarks import expand
    from colorfast.io.storage import read_json
    from colorfast.io.subprocesses import end_with_parent
    from colorfast.io.validation import check_known
    from colorfast.report.attacks import show, write

    if (run is None) == (models is None):
        raise ColorfastError(
            "give a run folder, or --models baseline=MODEL,trait=MODEL, and not both"
        )
    check_known("precision", [precision], get_args(Precision))
    axes = _axes(steps, ranks, shares, learning_rate, batch, recover)
    options = plan.Options(
        names=_split(names),
        items=items,
        samples=samples,
        axes=axes,
        suite=expand(_split(suite)),
        precision=None if precision == "auto" else cast("Precision", precision),
    )
    if run is not None:
        planned = plan.for_run(run, _split(arms), options)
    else:
        planned = plan.for_models(_models(models or "", arms), options)
    folder = out_dir or run or Path("washed")
    if cell:
        end_with_parent()
        measure_cell(planned, folder, cell)
        return
    run_attacks(planned, folder, keep, jobs, _arguments(context))
    written = [write(folder)]
    if folder == run:
        from colorfast.report import write as write_report

        written.append(write_report(folder))
    told = read_json(folder / plan.HOME / "persistence.json")
    if as_json:
        print_json(told)
        return
    show(told, out)
    out.print(
        f"\nreplies stay in {folder / plan.HOME}; report: {', '.join(map(str, written))}",
        markup=False,
        soft_wrap=True,
    )


def _arguments(context: typer.Context) -> list[str]:
    """The same command once more, for one cell."""
    told = ["attack"]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        if option.name not in ("jobs", "cell", "as_json") and value not in (None, False, ""):
            told += [] if option.param_type_name == "argument" else [option.opts[0]]
            told += [] if value is True else [str(value)]
    return told


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _axes(
    steps: str, ranks: str, shares: str, learning_rate: float | None, batch: int, recover: int
) -> Axes:
    from colorfast.config import Axes
    from colorfast.io.validation import one_line

    rank = [None if name == "full" else name for name in _split(ranks)]
    given = {
        "steps": _split(steps),
        "ranks": rank,
        "shares": _split(shares),
        "learning_rate": learning_rate,
        "batch": batch,
    }
    try:
        return Axes.model_validate(given | {"recovery": recover})
    except ValidationError as error:
        raise ColorfastError(f"--{one_line(error, Axes)}") from None


def _models(models: str, arms: str) -> dict[str, str]:
    if arms:
        raise ColorfastError("--arms narrows a run; with --models name only those you want")
    pairs = dict(part.partition("=")[::2] for part in _split(models))
    if len(pairs) < 2 or not all(pairs.values()):
        raise ColorfastError(
            f"--models {models}: wants two or more, each as name=MODEL, like baseline=A,trait=B"
        )
    return pairs


@app.command(epilog="Examples: `colorfast attacks` - `colorfast attacks --json`")
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
    table = table_of(
        f"{len(rows)} attacks, {sum(r['counterpart'] not in ('', 'none') for r in rows)} of them"
        " harmful",
        *rows[0],
    )
    for row in rows:
        table.add_row(
            *(
                ", ".join(map(str, v)) if isinstance(v, list) else str(v or "-")
                for v in row.values()
            )
        )
    out.print(table)
