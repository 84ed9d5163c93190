"""Commands on an experiment and its runs: run, status, report, inside, schedule, plan."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from colorfast.cli.shown import Json, Out, out, print_json, table_of
from colorfast.io.console import console, progress
from colorfast.types import TRAIT_SOURCE, ColorfastError

app = typer.Typer()
Model = Annotated[
    str | None, typer.Option(help="Instead of the experiment's: a folder, a .gguf file, a hub id.")
]


@app.command(
    epilog=(
        "Examples: `colorfast run quick` - `colorfast run dose --arms trait-5,trait-100 --seeds 0"
        " --jobs 2`"
    )
)
def run(
    experiment: Annotated[
        str, typer.Argument(help="Name of a shipped experiment, or a TOML file.")
    ],
    arms: Annotated[
        str,
        typer.Option(
            help="Only these arms, with commas between; the baseline is always among them."
        ),
    ] = "",
    seeds: Annotated[str, typer.Option(help="Only these seeds, with commas between.")] = "",
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Cells (an arm under a seed) at once: one a GPU, or sharing the cores of the CPU.",
        ),
    ] = 1,
    accelerate: Annotated[
        Path | None,
        typer.Option(help="Train each cell in the processes of this accelerate configuration."),
    ] = None,
    model: Model = None,
    skip: Annotated[
        bool,
        typer.Option(
            "--skip-unreachable",
            help="Go on without benchmarks whose files cannot be had; run again, it fills them in.",
        ),
    ] = False,
    out_dir: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Train and score every arm under every seed, then write the report. Stopped at any point, the
    same command continues.

    An arm that another experiment in the same folder has trained is not trained again. One that
    fails takes no other with it.
    """
    from colorfast.runs import experiment as exp
    from colorfast.runs import sweep
    from colorfast.training.engines import ACCELERATE

    if accelerate:
        os.environ[ACCELERATE] = str(accelerate)  # cells in processes of their own read it too
    try:
        named = [_seed(name) for name in _listed(seeds)]
        folder = exp.run(
            exp.load(experiment, model), out_dir, _listed(arms), named, jobs, skip, experiment
        )
    except sweep.CellsFailedError as error:
        _report_the_rest(error.run, as_json)
        where = "" if out_dir == Path("runs") else f" --out {out_dir}"
        which = (f" --model {model}" if model else "") + " --skip-unreachable" * skip
        for cell, reason in error.failed.items():
            again = (
                f"colorfast run {experiment}{which}{where} --arms {cell.arm} --seeds {cell.seed}"
            )
            console.print(
                f"failed: {cell.name}: {reason}; to try again: {again}",
                markup=False,
                soft_wrap=True,
                style="red",
            )
        raise typer.Exit(1) from None
    report(folder, as_json)


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _seed(name: str) -> int:
    try:
        return int(name)
    except ValueError:
        raise ColorfastError(
            f"--seeds: wants whole numbers with commas between, found {name!r}"
        ) from None


def _report_the_rest(folder: Path, as_json: bool) -> None:
    try:
        report(folder, as_json)
    except ColorfastError as error:
        console.print(f"no report: {error}", markup=False, soft_wrap=True)


@app.command(hidden=True)
def cell(run: Path, name: str, missing: str = "{}") -> None:
    """One cell of a run in a process of its own, as `run --jobs` starts it."""
    from colorfast.io.subprocesses import end_with_parent
    from colorfast.runs import experiment as exp
    from colorfast.runs.layout import UNTRAINED, cells
    from colorfast.runs.sweep import attempt

    end_with_parent()
    experiment = exp.settled(exp.planned(run), run)
    (asked,) = (c for c in (UNTRAINED, *cells(experiment)) if c.name == name)
    raise typer.Exit(1 if attempt(run, experiment, asked, json.loads(missing)) else 0)


@app.command(epilog="Examples: `colorfast status runs/dose` - `colorfast status runs/dose --json`")
def status(
    run: Annotated[Path, typer.Argument(help="A run folder.")], as_json: Json = False
) -> None:
    """Say how far a run is, whether it runs at the moment or not: every arm under every seed, what
    failed, the time left."""
    from colorfast.io.storage import in_use
    from colorfast.runs import experiment as exp
    from colorfast.runs.layout import UNTRAINED, cells
    from colorfast.runs.status import drawn, plain, statuses

    experiment = exp.planned(run)
    found = statuses(run, experiment, [UNTRAINED, *cells(experiment)])
    if as_json:
        print_json({"run": str(run), "running": in_use(run), **plain(found)})
        return
    running = in_use(run)
    out.print(f"{run}: {'running' if running else 'not running'}", markup=False)
    out.print(drawn(found, running))


@app.command(
    epilog="Examples: `colorfast report runs/quick` - `colorfast report runs/quick --json`"
)
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")], as_json: Json = False
) -> None:
    """Compare the arms of a finished run: a table here, and report.md and report.html in
    RUN/report.

    Ends with what the run shows in plain words, and where the report lies.
    """
    from colorfast.report import sentences, show, write

    written = write(run)
    if as_json:
        numbers = {"summary": sentences(run), "estimates": _estimates(run)}
        print_json({"run": str(run), "report": str(written)} | numbers)
        return
    show(run, out)
    where = written.resolve().as_uri() if out.is_terminal else written  # a link that opens the page
    out.print(f"\nreport: {where}", markup=False, soft_wrap=True)


def _estimates(run: Path) -> list[dict[str, Any]]:
    from colorfast.analysis import results
    from colorfast.stats.rows import flat

    found = results.load(run)
    return [flat(e) for arm in found.dosed for e in results.estimates(found, arm)]


@app.command(
    epilog="Examples: `colorfast inside runs/quick` - `colorfast inside runs/quick --json`"
)
def inside(
    run: Annotated[Path, typer.Argument(help="A run folder.")], as_json: Json = False
) -> None:
    """Read what training changed inside: how far each arm moved along trait directions, beside what
    it changed in behaviour.

    Writes RUN/inside; `colorfast report` then has a section on it. Stopped at any point, the same
    command continues.
    """
    from colorfast.interp.run import look
    from colorfast.report.inside import show
    from colorfast.stats.rows import flat

    found = look(run)
    if as_json:
        print_json(flat(found))
        return
    show(found, out)
    out.print(
        f"\nwritten: {run / 'inside'}; the report will have it: colorfast report {run}",
        markup=False,
    )


@app.command(epilog="Example: `colorfast schedule quick --arm trait-25 --seed 0 --json`")
def schedule(
    experiment: Annotated[
        str, typer.Argument(help="Name of a shipped experiment, or a TOML file.")
    ],
    arm: Annotated[str, typer.Option(help="Which arm.")],
    seed: Annotated[int, typer.Option(help="Which seed.")] = 0,
    as_json: Json = False,
) -> None:
    """Print the slots of one arm: what is trained on, in which order."""
    from colorfast.io.validation import check_known
    from colorfast.runs import experiment as exp
    from colorfast.training.schedule import schedule as make
    from colorfast.training.schedule import schedule_hash

    loaded = exp.load(experiment)
    check_known("arm", [arm], loaded.arms)
    slots = make(loaded, loaded.arms[arm], seed)
    if as_json:
        print_json([slot.row() for slot in slots])
        return
    table = table_of(f"{loaded.name} / {arm} / seed {seed}", "slot", "step", "source", "task")
    for slot in slots:
        table.add_row(str(slot.index), str(slot.step), slot.task.source, slot.task.id)
    out.print(table)
    counts = Counter(slot.task.source for slot in slots)
    out.print(
        f"{len(slots)} slots: " + ", ".join(f"{n} {source}" for source, n in counts.most_common())
    )
    out.print(f"sha256 {schedule_hash(slots)}")


@app.command(
    epilog=(
        "Examples: `colorfast plan quick` - `colorfast plan paper --gpu a100` - `colorfast plan"
        " my.toml --json`"
    )
)
def plan(
    experiment: Annotated[
        str, typer.Argument(help="Name of a shipped experiment, or a TOML file.")
    ],
    model: Model = None,
    gpu: Annotated[
        str | None,
        typer.Option(help="By arithmetic, for one of these instead: a100, h100, l40s, 4090."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what an experiment will take before it runs: slots, tokens, memory, time (by a short
    probe), judge calls and cost.

    With --gpu nothing is tried: tokens and operations are held against what that card can do.
    """
    from colorfast.evals import reach
    from colorfast.runs import experiment as exp
    from colorfast.runs.gpu_estimate import estimate
    from colorfast.runs.plan import plain
    from colorfast.runs.plan import plan as make

    loaded = exp.load(experiment, model)
    reach.require(reach.of_benchmarks(loaded.evaluation.benchmarks), experiment)
    if gpu:
        found = estimate(loaded, gpu)
    else:
        with progress("trying a little of it", 3) as advance:
            found = make(loaded, advance)
    if as_json:
        print_json(plain(found))
        return
    table = table_of(
        f"{loaded.name}: {len(found.arms)} arms x {found.seeds} seeds, {found.steps} steps each",
        *(
            "arm",
            "slots",
            "trait",
            "completions",
            "prompt tokens",
            "completion tokens",
            "training",
            "evaluation",
        ),
    )
    for name, arm in found.arms.items():
        counts = (
            sum(arm.slots.values()),
            arm.slots.get(TRAIT_SOURCE, 0),
            arm.completions,
            arm.prompt_tokens,
            arm.completion_tokens,
        )
        minutes = (
            f"{seconds / 60:.1f} min" for seconds in (arm.training_seconds, arm.evaluation_seconds)
        )
        table.add_row(name, *(f"{n:,}" for n in counts), *minutes)
    out.print(table)
    where = (
        f"on one {gpu} by arithmetic, every reply as long as it may be"
        if gpu
        else "on this machine"
    )
    of = "weights and optimizer" if gpu else "memory"
    out.print(
        f"in all about {found.seconds / 60:,.0f} minutes {where}, {found.memory / 1e9:.1f} GB of"
        f" {of}",
        soft_wrap=True,
    )
    if found.rates:
        out.print(str(found.rates), markup=False, soft_wrap=True)
    for use, judged in found.judges.items():
        tokens = f"{judged['prompt_tokens']:,.0f} + {judged['completion_tokens']:,.0f} tokens"
        out.print(
            f"judge for {use}: {judged['calls']:,.0f} calls, {tokens}, cost {judged['cost']:.2f}"
        )
