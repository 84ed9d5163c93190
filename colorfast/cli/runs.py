"""Commands on an experiment: run, status, plan, schedule, experiments."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from colorfast.cli import report
from colorfast.cli.app import TRAIN, app, command
from colorfast.cli.options import (
    ArmName,
    Arms,
    ExperimentName,
    Json,
    OtherModel,
    RunFolder,
    RunsFolder,
    Seed,
    SkipUnreachable,
    split,
)
from colorfast.cli.output import out, print_json, print_table, say
from colorfast.io.console import note, progress
from colorfast.types import TRAIT_SOURCE, ColorfastError


@command(TRAIN, "run quick", "run dose --arms trait-5,trait-100 --seeds 0 --jobs 2")
def run(
    experiment: ExperimentName,
    arms: Arms = "",
    seeds: Annotated[str, Option(help="Only these seeds, comma-separated.")] = "",
    jobs: Annotated[
        int, Option(min=1, help="Arms at once: one a GPU, or sharing the CPU cores.")
    ] = 1,
    accelerate: Annotated[
        Path | None, Option(help="Train in the processes of this accelerate config.")
    ] = None,
    model: OtherModel = None,
    skip: SkipUnreachable = False,
    out_dir: RunsFolder = Path("runs"),
    as_json: Json = False,
) -> None:
    """Train and score every arm under every seed, then write the report.

    A stopped run continues with the same command. Identical arms of another experiment in the same
    folder are reused. A failed arm does not stop the others.
    """
    from colorfast.runs import experiment as exp
    from colorfast.runs.sweep import CellsFailedError
    from colorfast.training.engines import ACCELERATE

    if accelerate:
        os.environ[ACCELERATE] = str(accelerate)  # processes that train an arm read it too
    chosen = [_seed(name) for name in split(seeds)]
    loaded = exp.load(experiment, model)
    try:
        folder = exp.run(loaded, out_dir, split(arms), chosen, jobs, skip, experiment)
    except CellsFailedError as error:
        try:
            report.report(error.run, as_json)
        except ColorfastError as unfinished:
            note(f"no report: {unfinished}")
        again = f"colorfast run {experiment}"
        again += f" --model {model}" if model else ""
        again += " --skip-unreachable" if skip else ""
        again += "" if out_dir == Path("runs") else f" --out {out_dir}"
        for cell, reason in error.failed.items():
            command = f"{again} --arms {cell.arm} --seeds {cell.seed}"
            note(f"failed: {cell.name}: {reason}; to try again: {command}", style="red")
        raise typer.Exit(1) from None
    report.report(folder, as_json)


def _seed(name: str) -> int:
    try:
        return int(name)
    except ValueError:
        raise ColorfastError(
            f"--seeds: wants whole numbers with commas between, found {name!r}"
        ) from None


@app.command(rich_help_panel=TRAIN, hidden=True)
def cell(run: Path, name: str, missing: str = "{}") -> None:
    """One cell of a run in a process of its own, as `run --jobs` starts it."""
    from colorfast.io.subprocesses import end_with_parent
    from colorfast.runs.folder import in_run_precision, stored_experiment
    from colorfast.runs.layout import UNTRAINED, cells
    from colorfast.runs.sweep import run_cell

    end_with_parent()
    experiment = in_run_precision(stored_experiment(run), run)
    by_name = {c.name: c for c in (UNTRAINED, *cells(experiment))}
    raise typer.Exit(1 if run_cell(run, experiment, by_name[name], json.loads(missing)) else 0)


@command(TRAIN, "status runs/dose", "status runs/dose --json")
def status(run: RunFolder, as_json: Json = False) -> None:
    """Show how far a run is: every arm under every seed, failures, and the time left."""
    from colorfast.io.storage import in_use
    from colorfast.runs.folder import stored_experiment
    from colorfast.runs.layout import UNTRAINED, cells
    from colorfast.runs.status import plain, status_table, statuses

    experiment = stored_experiment(run)
    states = statuses(run, experiment, [UNTRAINED, *cells(experiment)])
    running = in_use(run)
    if as_json:
        print_json({"run": str(run), "running": running, **plain(states)})
        return
    say(f"{run}: {'running' if running else 'not running'}")
    out.print(status_table(states, running))


@command(TRAIN, "plan quick", "plan paper --gpu a100", "plan my.toml --json")
def plan(
    experiment: ExperimentName,
    model: OtherModel = None,
    gpu: Annotated[
        str | None, Option(help="Estimate for this card: a100, h100, l40s, 4090.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate slots, tokens, memory, time, judge calls and cost before an experiment runs.

    Time and memory come from a short probe on this machine. With --gpu nothing runs: they are
    computed from the tokens and the card's speed.
    """
    from colorfast.evals import reach
    from colorfast.runs import experiment as exp
    from colorfast.runs.gpu_estimate import estimate
    from colorfast.runs.plan import plan as measure

    loaded = exp.load(experiment, model)
    reach.require(reach.of_benchmarks(loaded.evaluation.benchmarks), experiment)
    if gpu:
        planned = estimate(loaded, gpu)
        where, memory = f"on one {gpu}, if every reply has full length", "weights and optimizer"
    else:
        with progress("trying a little of it", 3) as advance:
            planned = measure(loaded, advance)
        where, memory = "on this machine", "memory"
    if as_json:
        print_json(asdict(planned))
        return
    rows = [
        {
            "arm": name,
            "slots": f"{sum(arm.slots.values()):,}",
            "trait": f"{arm.slots.get(TRAIT_SOURCE, 0):,}",
            "completions": f"{arm.completions:,}",
            "prompt tokens": f"{arm.prompt_tokens:,}",
            "completion tokens": f"{arm.completion_tokens:,}",
            "training": f"{arm.training_seconds / 60:.1f} min",
            "evaluation": f"{arm.evaluation_seconds / 60:.1f} min",
        }
        for name, arm in planned.arms.items()
    ]
    size = f"{len(rows)} arms x {planned.seeds} seeds, {planned.steps} steps each"
    print_table(f"{loaded.name}: {size}", rows)
    minutes = f"{planned.seconds / 60:,.0f} minutes {where}"
    say(f"in all about {minutes}, {planned.memory / 1e9:.1f} GB of {memory}")
    if planned.rates:
        say(str(planned.rates))
    for use, judge in planned.judges.items():
        tokens = f"{judge['prompt_tokens']:,.0f} + {judge['completion_tokens']:,.0f} tokens"
        say(f"judge for {use}: {judge['calls']:,.0f} calls, {tokens}, cost {judge['cost']:.2f}")


@command(TRAIN, "schedule quick --arm trait-25 --seed 0 --json")
def schedule(
    experiment: ExperimentName, arm: ArmName, seed: Seed = 0, as_json: Json = False
) -> None:
    """Print the slots of one arm: what it trains on, in order."""
    from colorfast.io.validation import check_known
    from colorfast.runs import experiment as exp
    from colorfast.training import schedule as schedules

    loaded = exp.load(experiment)
    check_known("arm", [arm], loaded.arms)
    slots = schedules.schedule(loaded, loaded.arms[arm], seed)
    if as_json:
        print_json([slot.row() for slot in slots])
        return
    rows = [
        {"slot": slot.index, "step": slot.step, "source": slot.task.source, "task": slot.task.id}
        for slot in slots
    ]
    print_table(f"{loaded.name} / {arm} / seed {seed}", rows)
    counts = Counter(slot.task.source for slot in slots).most_common()
    say(f"{len(slots)} slots: " + ", ".join(f"{count} {source}" for source, count in counts))
    say(f"sha256 {schedules.schedule_hash(slots)}")


@command(TRAIN, "experiments", "experiments --json")
def experiments(as_json: Json = False) -> None:
    """List the shipped experiments."""
    from colorfast.runs import experiment as exp

    rows = []
    for name in exp.names():
        e = exp.read(name)
        row: dict[str, Any] = {
            "name": e.name,
            "about": e.about,
            "model": e.model,
            "steps": e.training.steps,
        }
        doses = {arm: settings.dose for arm, settings in e.arms.items()}
        rows.append(row | {"arms": doses, "seeds": list(e.seeds)})
    if as_json:
        print_json(rows)
        return
    for row in rows:
        row |= {"arms": list(row["arms"]), "seeds": len(row["seeds"]), "about": row.pop("about")}
    print_table(f"{len(rows)} experiments", rows)
