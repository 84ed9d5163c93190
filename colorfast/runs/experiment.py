"""An experiment from its TOML to its run folder, and back: what is wrong is refused before anything
is trained."""

from __future__ import annotations

import importlib.util
import json
import platform
import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from colorfast import tasks
from colorfast.config import COMPUTED_IN, Arm, Evaluation, Experiment, with_present_keys
from colorfast.corpus import constitution
from colorfast.evals import benchmarks, reach
from colorfast.evals.evaluate import EvalPlan, short_benchmarks, stamps, work
from colorfast.evals.stamps import check_stamps
from colorfast.io.console import console
from colorfast.io.folders import Folder
from colorfast.io.machine import processor
from colorfast.io.storage import (
    DamagedError,
    digest,
    folder_lock,
    load_or_quarantine,
    read_json,
    write_json,
)
from colorfast.io.tables import read_scores, read_stamps
from colorfast.io.validation import check_known, one_line, read_toml
from colorfast.io.wheels import UnreachableError
from colorfast.models.resolve import resolve, weights_sha256
from colorfast.models.scripted import Scripted
from colorfast.rewards.rubric import check
from colorfast.rewards.select import make_ready
from colorfast.runs import cell_cache
from colorfast.runs.layout import BASELINE as BASELINE
from colorfast.runs.layout import START as START
from colorfast.runs.layout import UNTRAINED, Cell, block, cells, is_trained, is_whole, lacks
from colorfast.runs.outline import outline
from colorfast.runs.quarantine import mend
from colorfast.runs.sweep import CellsFailedError, sweep
from colorfast.training.schedule import all_scenarios, check_disjoint, heldout, schedule, summary
from colorfast.types import ColorfastError, Message, Score, Scores

if TYPE_CHECKING:
    from colorfast.models.precision import Rates

EXPERIMENTS = Folder("experiment", "runs/experiments", ".toml")
QUESTION = (Message(role="user", content="What is this about?"),)
MADE_OF = ("model", "slots", "training", "seed")
"""What of a cell's key an experiment decides."""


def names() -> list[str]:
    """The experiments shipped: one TOML each."""
    return EXPERIMENTS.names()


def load(name: str, model: str | None = None) -> Experiment:
    """An experiment by name or path, on another model where one is named, checked to the last name
    in it. Raises ColorfastError with file, key and cure, UnreachableError for files that training
    reads and cannot have."""
    experiment = read(name)
    if model:
        experiment = experiment.model_copy(update={"model": model})
    try:
        _check(experiment, name)
    except UnreachableError:  # which names its files, and of the TOML nothing is wrong
        raise
    except ColorfastError as error:
        raise ColorfastError(f"{EXPERIMENTS.file(name)}: {error}") from None
    return experiment


def read(name: str) -> Experiment:
    """The same, without looking up what it names: no file of others is needed."""
    path = EXPERIMENTS.file(name)
    raw = read_toml(path)
    for table, key in (
        (raw, "scenarios"),
        (raw, "standard"),
        (raw.get("evaluation"), "benchmarks"),
    ):
        if isinstance(table, dict) and isinstance(table.get(key), list):
            table[key] = [_beside(path, v) for v in table[key]]
    if "constitution" in raw:
        raw["constitution"] = _beside(path, raw["constitution"])
    if isinstance(raw.get("evaluation"), dict) and _are_names(raw["evaluation"].get("benchmarks")):
        raw["evaluation"]["benchmarks"] = benchmarks.expand(raw["evaluation"]["benchmarks"])
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        raise ColorfastError(f"{path}: {one_line(error, Experiment)}") from None


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _beside(path: Path, value: Any) -> Any:
    """A relative file name in a TOML is relative to the TOML; names of shipped things stay
    names."""
    is_file = (
        isinstance(value, str) and value.endswith((".jsonl", ".py", ".md")) and "\0" not in value
    )
    return str((path.parent / value).resolve()) if is_file else value


def _check(experiment: Experiment, called: str) -> None:
    if experiment.arms.get(BASELINE, Arm(dose=1)).dose != 0:
        raise ColorfastError(f"arms: one arm must be called {BASELINE!r} and have dose = 0")
    tasks.check(experiment.standard)
    for name in experiment.evaluation.benchmarks:
        benchmarks.get(name)
    reach.check_training(experiment, called)
    rows = all_scenarios(experiment)
    for name, arm in experiment.arms.items():
        check_known(
            f"trait in arms.{name}", (*arm.traits, *arm.not_traits), {s.trait for s in rows}
        )
        check_known(
            f"domain in arms.{name}", (*arm.domains, *arm.not_domains), {s.domain for s in rows}
        )
        if arm.reward == "constitution":
            _check_constitution(experiment, name)
    held = heldout(experiment)
    for arm in experiment.arms.values():
        check_disjoint([slot.task for slot in schedule(experiment, arm, experiment.seeds[0])], held)


def _check_constitution(experiment: Experiment, arm: str) -> None:
    principles = constitution.load(experiment.constitution)
    check([c for p in principles for c in p.criteria], QUESTION)
    if not constitution.for_code(principles) and experiment.training.grading.kind != "judge":
        raise ColorfastError(
            f"arms.{arm}.reward: constitution {experiment.constitution} has principles and no"
            ' criteria for code; set training.grading.kind = "judge"'
        )


def _first_difference(old: Any, new: Any, where: str = "") -> str | None:
    """The first key, in reading order, at which two plain values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(k for k in old if k not in new)]:
            found = _first_difference(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
            if found:
                return found
        return None
    return None if old == new else f"{where}: was {json.dumps(old)}, is now {json.dumps(new)}"


def _settle(experiment: Experiment, folder: Path, model: Path, measured: Evaluation) -> str:
    """Write what this run is, or check that the folder belongs to the very same experiment. Returns
    the hash of the model. `measured`: the evaluation, but for what cannot be asked now, which is no
    part of what the run is."""
    plan = {
        "experiment": experiment.model_dump(mode="json"),
        "model_sha256": weights_sha256(model),
        "scenarios_sha256": digest([s.model_dump(mode="json") for s in all_scenarios(experiment)]),
    }
    path = folder / "run.json"
    traits = {s.id: s.trait for s in heldout(experiment)}
    known = load_or_quarantine(path, _read_plan)
    if known is not None:
        different = _first_difference(known, plan)
        if different:
            raise ColorfastError(
                f"{folder}: made by another experiment ({different}); give this one another name"
                " (what both have in common is not trained again) or another --out, or delete the"
                " folder"
            )
    else:
        rates = _rates(experiment, folder, model)
        settled_experiment = _in_precision(experiment, rates.choice)
        measured = measured.model_copy(
            update={"precision": settled_experiment.evaluation.precision}
        )
        _check_made_by(settled_experiment, folder, str(plan["model_sha256"]), measured)
        machine = {
            "python": platform.python_version(),
            "system": platform.platform(),
            "processor": processor().name,
        }
        made = {
            "plan": plan,
            "traits": traits,
            "versions": cell_cache.versions(),
            "machine": machine,
            "precision": asdict(rates),
        }
        write_json(path, made)
    return str(plan["model_sha256"])


def _rates(experiment: Experiment, folder: Path, model: Path) -> Rates:
    """What a run multiplies in, measured at its start. Where its cells were begun already, as they
    were."""
    from colorfast.models.precision import rates

    measured, begun = rates(experiment.training.precision, model), _precision_of_cells(folder)
    if begun in (None, measured.choice) or experiment.training.precision != "auto":
        return measured
    return replace(measured, choice=begun, reason="as the cells that are here were begun")


def _precision_of_cells(folder: Path) -> str | None:
    """What the cells of a folder were begun in, by the key of the first that says so."""
    for path in sorted(folder.glob("*/key.json")):
        try:
            precision = read_json(path)["of"]["training"]["precision"]
        except (ColorfastError, KeyError, TypeError):  # the untrained model's names none
            continue
        if precision in COMPUTED_IN:
            return str(precision)
    return None


def _in_precision(experiment: Experiment, precision: str) -> Experiment:
    """Training, and evaluation where its precision is left to the machine, in this precision."""
    training = experiment.training.model_copy(update={"precision": precision})
    evaluation = experiment.evaluation
    if evaluation.precision == "auto":
        evaluation = evaluation.model_copy(update={"precision": precision})
    return experiment.model_copy(update={"training": training, "evaluation": evaluation})


def settled(experiment: Experiment, folder: Path) -> Experiment:
    """The experiment in the precision that its run chose when it began: every cell, process and
    later start multiplies in it. A run of a version that did not measure has it in the keys of its
    cells.

    Raises ColorfastError where run.json does not say it.
    """
    if experiment.training.precision != "auto":
        return _in_precision(experiment, experiment.training.precision)
    kept = read_json(folder / "run.json").get("precision")
    choice = kept.get("choice") if isinstance(kept, dict) else _precision_of_cells(folder)
    if kept is not None and choice not in COMPUTED_IN:
        raise ColorfastError(
            f"{folder}/run.json: precision.choice: wants {' or '.join(COMPUTED_IN)}, found"
            f" {choice!r}"
        )
    return experiment if choice is None else _in_precision(experiment, choice)


def _read_plan(path: Path) -> dict[str, Any]:
    made = read_json(path)
    if not isinstance(made.get("plan"), dict) or not isinstance(made.get("traits"), dict):
        raise DamagedError(path, "it does not say what the run is")
    plan = dict(made["plan"])
    if isinstance(plan.get("experiment"), dict):
        plan["experiment"] = with_present_keys(plan["experiment"])
    return plan


def _check_made_by(
    experiment: Experiment, folder: Path, model_sha256: str, measured: Evaluation
) -> None:
    """Raises ColorfastError when a cell of a folder without run.json was trained or scored by other
    settings than the experiment's."""
    for cell in (c for c in cells(experiment) if is_trained(folder, c)):
        any_model = Scripted(
            {}, lambda conversation: False
        )  # stamps are the same for all with weights
        wanted = stamps(any_model, EvalPlan(measured, heldout(experiment), experiment.system))
        place, seed = folder / cell.name, int(cell.seed or 0)
        slots = schedule(experiment, experiment.arms[str(cell.arm)], seed)
        was = with_present_keys(
            (load_or_quarantine(place / "key.json", read_json) or {}).get("of", {})
        )
        now = cell_cache.trained(model_sha256, slots, experiment.training, seed)
        different = _first_difference(
            {key: was.get(key) for key in MADE_OF}, {key: now[key] for key in MADE_OF}
        )
        if different:
            raise ColorfastError(
                f"{place}: not known to be of this experiment ({different}); give another --out, or"
                " delete the cell"
            )
        if load_or_quarantine(place / "scores.parquet", read_scores) is not None:
            here = {
                name: value for name, value in wanted.items() if name not in lacks(folder, cell)
            }
            check_stamps(place / "scores.parquet", read_stamps(place / "scores.parquet"), here)


def _check_disk(experiment: Experiment, folder: Path, model: Path, left: int, jobs: int) -> None:
    """`left`: how many models this run will keep beside those that are there; what it trains at
    once needs room for a while."""
    size = sum(f.stat().st_size for f in model.glob("*.safetensors"))
    needed = int(
        size * (left + min(left, jobs) * (6 if experiment.training.adapter == "full" else 1)) * 1.1
    )
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ColorfastError(
            f"{folder}: {free / 1e9:.1f} GB free, this run needs about {needed / 1e9:.1f} GB; free"
            " some space or give another --out"
        )


def _prepare(
    experiment: Experiment, folder: Path, chosen: Sequence[Cell], model_sha256: str
) -> None:
    """Before anything is trained: every cell's schedule, checked and hashed, and the key by which
    cells are shared."""
    held = heldout(experiment)
    cell_cache.settle(folder / START, cell_cache.untrained(model_sha256))
    for seed in dict.fromkeys(cell.seed for cell in chosen if cell.seed is not None):
        baseline = schedule(experiment, experiment.arms[BASELINE], seed)
        for name in (cell.arm for cell in chosen if cell.seed == seed and cell.arm is not None):
            place, arm = folder / Cell(name, seed).name, experiment.arms[name]
            slots = schedule(experiment, arm, seed)
            check_disjoint([s.task for s in slots], held)
            write_json(place / "schedule.json", summary(slots, baseline, arm))
            cell_cache.settle(
                place, cell_cache.trained(model_sha256, slots, experiment.training, seed)
            )


def check_trackers(names: Sequence[str]) -> None:
    """Raises ColorfastError for a tracker that is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ColorfastError(
                f"training.report_to: {name} is not installed; pip install {name}, or leave it out"
            )


def run(
    experiment: Experiment,
    out: Path,
    arms: Sequence[str] = (),
    seeds: Sequence[int] = (),
    jobs: int = 1,
    skip: bool = False,
    called: str = "",
) -> Path:
    """Train and score the cells of these arms and seeds (all when left out, the baseline always)
    into `out/NAME`, `jobs` at once. `skip`: benchmarks whose files cannot be reached are left out,
    and a later call measures them. `called`: the name or TOML by which the experiment was loaded,
    for errors. Returns the run folder.

    Raises UnreachableError that names all files out of reach, and ColorfastError for what else is
    wrong before anything is trained; CellsFailedError, when all else is done, for cells that
    failed.
    """
    folder, chosen = out / experiment.name, cells(experiment, arms, seeds)
    check_trackers(experiment.training.report_to)
    missing = _reached(experiment, called or experiment.name, skip)
    measured = reach.without(experiment.evaluation, missing)
    for grading in (experiment.training.grading, measured.grading, measured.second_grading):
        if grading is not None:
            make_ready(grading)
    for line in short_benchmarks(measured):
        console.print(f"note: {line}", markup=False)
    work(
        EvalPlan(measured, heldout(experiment))
    )  # reads every benchmark file, so that a bad one is found before training
    with folder_lock(folder, wait=False):
        model = resolve(experiment.model)
        model_sha256 = _settle(experiment, folder, model, measured)
        experiment = settled(experiment, folder)
        for cell in (UNTRAINED, *chosen):
            mend(folder, cell)
        _prepare(experiment, folder, chosen, model_sha256)
        left = sum(
            not is_trained(folder, c) and not cell_cache.is_shared(folder / c.name) for c in chosen
        )
        _check_disk(experiment, folder, model, left, jobs)
        reachable = experiment.model_copy(update={"evaluation": measured})
        for line in outline(folder, reachable, chosen, jobs):
            console.print(line, markup=False, soft_wrap=True)
        failed = sweep(folder, experiment, chosen, jobs, missing)
    if failed:
        raise CellsFailedError(folder, failed)
    console.print(f"done: {folder}", markup=False)
    return folder


def _reached(experiment: Experiment, called: str, skip: bool) -> dict[str, str]:
    """Try all that the experiment reads of others. Returns the benchmarks to leave out, with the
    reasons, and says so."""
    names = experiment.evaluation.benchmarks
    needs = {**reach.of_training(experiment), **reach.of_benchmarks(names)}
    missing = reach.require(needs, called, reach.parts(experiment), skip)
    for line in reach.skipped(missing, len(names)):
        console.print(line, markup=False, soft_wrap=True)
    return missing


def planned(folder: Path) -> Experiment:
    """The experiment that made a run folder. Raises ColorfastError when it is not one."""
    if not (folder / "run.json").is_file():
        raise ColorfastError(
            f"{folder}: not a run folder (no run.json); run an experiment first: colorfast run"
            " quick"
        )
    try:
        return Experiment.model_validate(_read_plan(folder / "run.json")["experiment"])
    except (ValidationError, KeyError, DamagedError):
        raise ColorfastError(
            f"{folder}/run.json: damaged, or written by another version; run the experiment again"
            " into another --out"
        ) from None


def load_run(folder: Path) -> Experiment:
    """The experiment that made a run folder, as far as it is done: the arms and seeds of its
    largest block of whole cells, and the benchmarks that all of these were asked (see
    `unmeasured`).

    Raises ColorfastError when it is not a run folder, or no cell of the baseline is whole.
    """
    experiment = planned(folder)
    arms, seeds = block([c for c in cells(experiment) if is_whole(folder, c)], experiment)
    if not arms:
        raise ColorfastError(
            f"{folder}: no baseline is trained and scored yet, so there is nothing to compare; run"
            " the experiment on"
        )
    done = experiment.model_copy(
        update={"arms": {name: experiment.arms[name] for name in arms}, "seeds": tuple(seeds)}
    )
    gone = unmeasured(folder, done)
    left_out = (
        [name for name in done.evaluation.benchmarks if benchmarks.get(name).id in gone]
        if gone
        else []
    )
    return done.model_copy(update={"evaluation": reach.without(done.evaluation, left_out)})


def unmeasured(folder: Path, experiment: Experiment) -> dict[str, str]:
    """The evals that some of the experiment's cells could not be asked, with the reason, and with
    the cells where it is not all: arms are compared on what was asked in each."""
    by_cell = {cell: lacks(folder, cell) for cell in cells(experiment)}
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(name for own in by_cell.values() for name in own):
        where = [cell for cell, own in by_cell.items() if name in own]
        some = (
            f"; not in {', '.join(cell.name for cell in where)}"
            if len(where) < len(by_cell)
            else ""
        )
        reasons[name] = by_cell[where[-1]][name] + some
    return reasons


def load_scores(folder: Path, experiment: Experiment) -> dict[str, Scores]:
    """Every arm's scores by seed, of the evals that all of them have. Raises ColorfastError when
    two tables were not asked or scored alike."""
    gone = unmeasured(folder, experiment)
    paths = {
        arm: {seed: folder / Cell(arm, seed).name / "scores.parquet" for seed in experiment.seeds}
        for arm in experiment.arms
    }
    first = read_stamps(paths[BASELINE][experiment.seeds[0]])
    wanted = {name: value for name, value in first.items() if name not in gone}
    for path in (path for by_seed in paths.values() for path in by_seed.values()):
        check_stamps(path, read_stamps(path), wanted)
    return {
        arm: {seed: _of_all(path, gone) for seed, path in by_seed.items()}
        for arm, by_seed in paths.items()
    }


def _of_all(path: Path, gone: Collection[str]) -> list[Score]:
    return [score for score in read_scores(path) if score.eval not in gone]
