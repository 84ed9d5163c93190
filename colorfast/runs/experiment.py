"""An experiment: read and checked from its TOML, then run into its folder. Errors are found before
anything is trained."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from colorfast import tasks
from colorfast.config import Arm, Experiment
from colorfast.corpus import constitution
from colorfast.evals import benchmarks, reach
from colorfast.evals.evaluate import EvalPlan, short_benchmarks, work
from colorfast.io.console import note
from colorfast.io.folders import Folder
from colorfast.io.storage import folder_lock, write_json
from colorfast.io.validation import check_known, one_line, read_toml
from colorfast.io.wheels import UnreachableError
from colorfast.models.resolve import resolve
from colorfast.rewards.rubric import check
from colorfast.rewards.select import make_ready
from colorfast.runs import cell_cache
from colorfast.runs.folder import in_run_precision, write_or_check
from colorfast.runs.layout import BASELINE, START, UNTRAINED, Cell, cells, is_trained
from colorfast.runs.outline import outline
from colorfast.runs.quarantine import quarantine
from colorfast.runs.sweep import CellsFailedError, sweep
from colorfast.training.schedule import all_scenarios, check_disjoint, heldout, schedule, summary
from colorfast.types import ColorfastError, Message

EXPERIMENTS = Folder("experiment", "runs/experiments", ".toml")
QUESTION = (Message(role="user", content="What is this about?"),)
FULL_COPIES = 6
"""Room that full fine-tuning needs for a while, in models: gradients, Adam and checkpoints."""


def names() -> list[str]:
    """The shipped experiments: one TOML each."""
    return EXPERIMENTS.names()


def load(name: str, model: str | None = None) -> Experiment:
    """An experiment by name or path, fully checked. `model`: use it instead of the experiment's.

    Raises ColorfastError with file, key and remedy; UnreachableError for training files that cannot
    be downloaded.
    """
    experiment = read(name)
    if model:
        experiment = experiment.model_copy(update={"model": model})
    try:
        _check(experiment, name)
    except UnreachableError:  # names its files; nothing is wrong with the TOML
        raise
    except ColorfastError as error:
        raise ColorfastError(f"{EXPERIMENTS.file(name)}: {error}") from None
    return experiment


def read(name: str) -> Experiment:
    """An experiment by name or path. The files and names in it are not looked up."""
    path = EXPERIMENTS.file(name)
    try:
        experiment = Experiment.model_validate(read_toml(path))
    except ValidationError as error:
        raise ColorfastError(f"{path}: {one_line(error, Experiment)}") from None
    evals = benchmarks.expand(_absolute(experiment.evaluation.benchmarks, path.parent))
    changes = {
        "scenarios": _absolute(experiment.scenarios, path.parent),
        "standard": _absolute(experiment.standard, path.parent),
        "constitution": _absolute([experiment.constitution], path.parent)[0],
        "evaluation": experiment.evaluation.model_copy(update={"benchmarks": evals}),
    }
    return experiment.model_copy(update=changes)


def _absolute(names: Sequence[str], folder: Path) -> tuple[str, ...]:
    """File names in a TOML are relative to its folder; names of shipped things stay as they are."""
    absolute = []
    for name in names:
        is_file = name.endswith((".jsonl", ".py", ".md")) and "\0" not in name
        absolute.append(str((folder / name).resolve()) if is_file else name)
    return tuple(absolute)


def _check(experiment: Experiment, name: str) -> None:
    """Raises ColorfastError for a name in the experiment that does not exist, and for a setting
    that cannot be trained. `name`: of the experiment, for `colorfast fetch`."""
    if experiment.arms.get(BASELINE, Arm(dose=1)).dose != 0:
        raise ColorfastError(f"arms: one arm must be called {BASELINE!r} and have dose = 0")
    tasks.check(experiment.standard)
    for benchmark in experiment.evaluation.benchmarks:
        benchmarks.get(benchmark)
    reach.check_training(experiment, name)
    scenarios, held = all_scenarios(experiment), heldout(experiment)
    traits, domains = {s.trait for s in scenarios}, {s.domain for s in scenarios}
    for arm_name, arm in experiment.arms.items():
        check_known(f"trait in arms.{arm_name}", (*arm.traits, *arm.not_traits), traits)
        check_known(f"domain in arms.{arm_name}", (*arm.domains, *arm.not_domains), domains)
        if arm.reward == "constitution":
            _check_constitution(experiment, arm_name)
        check_disjoint([slot.task for slot in schedule(experiment, arm, experiment.seeds[0])], held)


def _check_constitution(experiment: Experiment, arm: str) -> None:
    principles = constitution.load(experiment.constitution)
    for principle in principles:
        check(principle.criteria, QUESTION)
    if not constitution.for_code(principles) and experiment.training.grading.kind != "judge":
        raise ColorfastError(
            f"arms.{arm}.reward: constitution {experiment.constitution} has principles and no"
            ' criteria for code; set training.grading.kind = "judge"'
        )


def check_trackers(trackers: Sequence[str]) -> None:
    """Raises ColorfastError for a tracker that is not installed."""
    for name in trackers:
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
    """Train and score the cells of these arms and seeds (by default all; the baseline always) into
    `out/NAME`, `jobs` at a time. `skip`: leave out benchmarks whose files cannot be downloaded; a
    later call adds them. `called`: the name or TOML of the experiment, for errors. Returns the run
    folder.

    Raises UnreachableError that names all files that cannot be downloaded; ColorfastError for other
    errors before anything is trained; CellsFailedError, after all other cells, for cells that
    failed.
    """
    folder, chosen = out / experiment.name, cells(experiment, arms, seeds)
    check_trackers(experiment.training.report_to)
    names = experiment.evaluation.benchmarks
    needs = {**reach.of_training(experiment), **reach.of_benchmarks(names)}
    parts = reach.parts(experiment)
    missing = reach.require(needs, called or experiment.name, parts, skip)
    evaluation = reach.without(experiment.evaluation, missing)
    for grading in (experiment.training.grading, evaluation.grading, evaluation.second_grading):
        if grading is not None:
            make_ready(grading)
    for line in reach.skipped(missing, len(names)):
        note(line)
    for line in short_benchmarks(evaluation):
        note(f"note: {line}")
    work(EvalPlan(evaluation, ()))  # reads all benchmark files, to find bad ones now
    with folder_lock(folder, wait=False):
        model = resolve(experiment.model)
        model_sha256 = write_or_check(experiment, folder, model, evaluation)
        experiment = in_run_precision(experiment, folder)
        for cell in (UNTRAINED, *chosen):
            quarantine(folder, cell)
        _prepare(experiment, folder, chosen, model_sha256)
        _check_disk(experiment, folder, model, chosen, jobs)
        reachable = experiment.model_copy(update={"evaluation": evaluation})
        for line in outline(folder, reachable, chosen, jobs):
            note(line)
        failed = sweep(folder, experiment, chosen, jobs, missing)
    if failed:
        raise CellsFailedError(folder, failed)
    note(f"done: {folder}")
    return folder


def _prepare(
    experiment: Experiment, folder: Path, chosen: Sequence[Cell], model_sha256: str
) -> None:
    """Write the schedule of every cell, checked and hashed, and the key by which cells are
    shared."""
    held = heldout(experiment)
    cell_cache.write_key(folder / START, cell_cache.untrained_inputs(model_sha256))
    for cell in chosen:
        place, arm = folder / cell.name, experiment.arms[cell.arm]
        slots = schedule(experiment, arm, cell.seed)
        if cell.arm == BASELINE:  # comes first under each seed
            baseline = slots
        check_disjoint([s.task for s in slots], held)
        write_json(place / "schedule.json", summary(slots, baseline, arm))
        inputs = cell_cache.trained_inputs(model_sha256, slots, experiment.training, cell.seed)
        cell_cache.write_key(place, inputs)


def _check_disk(
    experiment: Experiment, folder: Path, model: Path, chosen: Sequence[Cell], jobs: int
) -> None:
    """Raises ColorfastError if the disk has no room for the models that this run will add, and for
    what training needs meanwhile."""
    left = 0
    for cell in chosen:
        left += not is_trained(folder, cell) and not cell_cache.is_shared(folder / cell.name)
    copies = FULL_COPIES if experiment.training.adapter == "full" else 1
    size = sum(f.stat().st_size for f in model.glob("*.safetensors"))
    needed = int(size * (left + min(left, jobs) * copies) * 1.1)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ColorfastError(
            f"{folder}: {free / 1e9:.1f} GB free, this run needs about {needed / 1e9:.1f} GB; free"
            " some space or give another --out"
        )
