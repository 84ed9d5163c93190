"""A run folder: what run.json says the run is, and the finished part of it that can be compared."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from colorfast.config import COMPUTED_IN, FORMER_KEYS, Evaluation, Experiment, rename_keys
from colorfast.evals import benchmarks, reach
from colorfast.evals.evaluate import EvalPlan, stamps
from colorfast.evals.stamps import check_stamps
from colorfast.io.machine import processor
from colorfast.io.storage import DamagedError, digest, load_or_quarantine, read_json, write_json
from colorfast.io.tables import read_scores, read_stamps
from colorfast.models.resolve import weights_sha256
from colorfast.models.scripted import Scripted
from colorfast.runs import cell_cache
from colorfast.runs.layout import (
    cells,
    is_trained,
    is_whole,
    largest_block,
    read_value,
    unmeasured_evals,
)
from colorfast.training.schedule import all_scenarios, heldout, schedule
from colorfast.types import ColorfastError, Score, Scores

if TYPE_CHECKING:
    from colorfast.models.precision import Rates

COMPARED_INPUTS = ("model", "slots", "training", "seed")
"""The inputs in a cell's key that the experiment decides."""


def write_or_check(
    experiment: Experiment, folder: Path, model: Path, evaluation: Evaluation
) -> str:
    """Write run.json, or check that the folder belongs to this very experiment. `evaluation`:
    without the evals that cannot be run now. Returns the hash of the model.

    Raises ColorfastError with the first key that differs.
    """
    path, model_sha256 = folder / "run.json", weights_sha256(model)
    plan = {
        "experiment": experiment.model_dump(mode="json"),
        "model_sha256": model_sha256,
        "scenarios_sha256": digest([s.model_dump(mode="json") for s in all_scenarios(experiment)]),
    }
    stored = load_or_quarantine(path, _read_plan)
    if stored is not None:
        difference = _first_difference(stored, plan)
        if difference:
            raise ColorfastError(
                f"{folder}: made by another experiment ({difference}); give this one another name"
                " (identical arms are reused) or another --out, or delete the folder"
            )
        return model_sha256
    rates = _rates(experiment, folder, model)
    chosen = _in_precision(experiment, rates.choice)
    evaluation = evaluation.model_copy(update={"precision": chosen.evaluation.precision})
    _check_cells(chosen, folder, model_sha256, evaluation)
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor().name,
    }
    content = {
        "plan": plan,
        "traits": {s.id: s.trait for s in heldout(experiment)},
        "versions": cell_cache.versions(),
        "machine": machine,
        "precision": asdict(rates),
    }
    write_json(path, content)
    return model_sha256


def _first_difference(old: Any, new: Any, where: str = "") -> str | None:
    """The first key, in reading order, at which two plain values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(k for k in old if k not in new)]:
            path = f"{where}.{key}".lstrip(".")
            difference = _first_difference(old.get(key), new.get(key), path)
            if difference:
                return difference
        return None
    return None if old == new else f"{where}: was {json.dumps(old)}, is now {json.dumps(new)}"


def _read_plan(path: Path) -> dict[str, Any]:
    """What run.json says the run is, with the present names of keys."""
    content = read_json(path)
    plan = content.get("plan")
    if not isinstance(plan, dict) or not isinstance(content.get("traits"), dict):
        raise DamagedError(path, "it does not say what the run is")
    if isinstance(plan.get("experiment"), dict):
        rename_keys(plan["experiment"], FORMER_KEYS)
    return plan


def _check_cells(
    experiment: Experiment, folder: Path, model_sha256: str, evaluation: Evaluation
) -> None:
    """Raises ColorfastError if a cell of a folder without run.json was trained or scored with other
    settings than the experiment's."""
    # All policies with weights share their stamps, so a scripted one stands for the model.
    plan = EvalPlan(evaluation, heldout(experiment), experiment.system)
    expected = stamps(Scripted({}, bool), plan)
    for cell in cells(experiment):
        if not is_trained(folder, cell):
            continue
        place = folder / cell.name
        slots = schedule(experiment, experiment.arms[cell.arm], cell.seed)
        inputs = cell_cache.trained_inputs(model_sha256, slots, experiment.training, cell.seed)
        stored = (load_or_quarantine(place / "key.json", read_json) or {}).get("of", {})
        rename_keys(stored, FORMER_KEYS)
        difference = _first_difference(
            {key: stored.get(key) for key in COMPARED_INPUTS},
            {key: inputs[key] for key in COMPARED_INPUTS},
        )
        if difference:
            raise ColorfastError(
                f"{place}: not known to be of this experiment ({difference}); give another --out,"
                " or delete the cell"
            )
        table = place / "scores.parquet"
        if load_or_quarantine(table, read_scores) is not None:
            missing = unmeasured_evals(folder, cell)
            measured = {name: stamp for name, stamp in expected.items() if name not in missing}
            check_stamps(table, read_stamps(table), measured)


def _rates(experiment: Experiment, folder: Path, model: Path) -> Rates:
    """Measure which precision is faster. Cells that were begun already keep theirs."""
    from colorfast.models.precision import rates

    measured, begun = rates(experiment.training.precision, model), _precision_of_cells(folder)
    if begun in (None, measured.choice) or experiment.training.precision != "auto":
        return measured
    return replace(measured, choice=begun, reason="as the cells that are here were begun")


def _precision_of_cells(folder: Path) -> str | None:
    """The precision in the key of the first cell that states one; the untrained model's does
    not."""
    for path in sorted(folder.glob("*/key.json")):
        inputs = read_value(path, "of")
        training = inputs.get("training") if isinstance(inputs, dict) else None
        precision = training.get("precision") if isinstance(training, dict) else None
        if precision in COMPUTED_IN:
            return str(precision)
    return None


def _in_precision(experiment: Experiment, precision: str) -> Experiment:
    """Training in this precision, and evaluation too if its precision is "auto"."""
    training = experiment.training.model_copy(update={"precision": precision})
    evaluation = experiment.evaluation
    if evaluation.precision == "auto":
        evaluation = evaluation.model_copy(update={"precision": precision})
    return experiment.model_copy(update={"training": training, "evaluation": evaluation})


def in_run_precision(experiment: Experiment, folder: Path) -> Experiment:
    """The experiment in the precision that its run chose at its start. Every cell, process and
    later start uses it. Runs of versions without a choice state it in the keys of their cells.

    Raises ColorfastError if run.json does not state it.
    """
    if experiment.training.precision != "auto":
        return _in_precision(experiment, experiment.training.precision)
    stored = read_json(folder / "run.json").get("precision")
    choice = stored.get("choice") if isinstance(stored, dict) else _precision_of_cells(folder)
    if stored is not None and choice not in COMPUTED_IN:
        raise ColorfastError(
            f"{folder}/run.json: precision.choice: wants {' or '.join(COMPUTED_IN)}, found"
            f" {choice!r}"
        )
    return experiment if choice is None else _in_precision(experiment, choice)


def stored_experiment(folder: Path) -> Experiment:
    """The experiment that made a run folder. Raises ColorfastError if it is not a run folder."""
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
    """The finished part of the experiment that made a run folder: the arms and seeds of its largest
    block of whole cells, and the benchmarks that all of these were scored on.

    Raises ColorfastError if it is not a run folder, or no baseline cell is whole.
    """
    experiment = stored_experiment(folder)
    whole = [cell for cell in cells(experiment) if is_whole(folder, cell)]
    arms, seeds = largest_block(whole, experiment)
    if not arms:
        raise ColorfastError(
            f"{folder}: no baseline is trained and scored yet, so there is nothing to compare; run"
            " the experiment on"
        )
    settings = {"arms": {name: experiment.arms[name] for name in arms}, "seeds": tuple(seeds)}
    finished = experiment.model_copy(update=settings)
    missing, left_out = unmeasured(folder, finished), []
    if missing:
        names = finished.evaluation.benchmarks
        left_out = [name for name in names if benchmarks.get(name).id in missing]
    return finished.model_copy(update={"evaluation": reach.without(finished.evaluation, left_out)})


def unmeasured(folder: Path, experiment: Experiment) -> dict[str, str]:
    """The evals that some of the experiment's cells lack, with the reason, and with the cells if
    others have them. Arms are compared on the evals that all of them have."""
    by_cell = {cell.name: unmeasured_evals(folder, cell) for cell in cells(experiment)}
    reasons: dict[str, str] = {}
    for missing in by_cell.values():
        reasons |= missing
    for name in reasons:
        where = [cell for cell, missing in by_cell.items() if name in missing]
        if len(where) < len(by_cell):
            reasons[name] += f"; not in {', '.join(where)}"
    return reasons


def load_scores(folder: Path, experiment: Experiment) -> Mapping[str, Scores]:
    """The scores of every arm by seed, of the evals that all of them have. Raises ColorfastError
    if two tables were not scored in the same way."""
    missing = unmeasured(folder, experiment)
    expected: dict[str, str] = {}
    scores: dict[str, dict[int, list[Score]]] = {arm: {} for arm in experiment.arms}
    for cell in cells(experiment):
        path = folder / cell.name / "scores.parquet"
        own_stamps = read_stamps(path)
        if not expected:
            expected = {name: stamp for name, stamp in own_stamps.items() if name not in missing}
        check_stamps(path, own_stamps, expected)
        rows = read_scores(path)
        scores[cell.arm][cell.seed] = [row for row in rows if row.eval not in missing]
    return scores
