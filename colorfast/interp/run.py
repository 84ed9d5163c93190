"""Read the models of a finished run: trait directions from the start model, then every arm along
them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from colorfast.analysis.compare import estimate
from colorfast.config import Experiment
from colorfast.corpus.scenarios import corpus
from colorfast.interp.directions import CONTROLS
from colorfast.interp.probe import SAMPLES, SCENARIOS, Probe, Reading, choose
from colorfast.interp.shift import (
    FOLDER,
    MEASURES,
    Contrast,
    Inside,
    Quality,
    Shift,
    agree,
    shifted,
)
from colorfast.io.storage import digest, folder_lock, read_json, write_json
from colorfast.io.tables import read_scores
from colorfast.models.resolve import resolve, weights_sha256
from colorfast.runs.folder import load_run, load_scores
from colorfast.runs.layout import BASELINE, START
from colorfast.stats.rows import flat
from colorfast.training.schedule import all_scenarios, heldout, with_system
from colorfast.types import ColorfastError, Scenario, Scores


class _Side(NamedTuple):
    """A model as one side of a comparison: its readings and scores, by seed."""

    name: str
    readings: Mapping[int, Reading]
    scores: Scores


def directions(model: str, folder: Path) -> list[Quality]:
    """Find the trait directions of any model from the shipped corpus; writes `directions.npz` and
    `directions.json` into `folder`. Returns how well each reads its trait."""
    scenarios = corpus()
    sources = [s.model_dump(mode="json") for s in scenarios]
    stamp = digest([weights_sha256(resolve(model)), sources, SCENARIOS, CONTROLS])
    return Probe(folder, model, stamp, choose(scenarios)[0]).qualities


def look(run: Path) -> Inside:
    """Read every model of a finished run into RUN/inside: `directions.npz` and `.json`, a file a
    model, and at last `shifts.json`. Files that are still valid are reused.

    Raises ColorfastError when the run is not finished, or its model or scenarios have changed.
    """
    experiment = load_run(run)
    plan = read_json(run / "run.json")["plan"]
    _check_same(run, experiment, plan)
    scores, untrained = load_scores(run, experiment), read_scores(run / START / "scores.parquet")
    scenarios = [with_system(s, experiment.system) for s in all_scenarios(experiment)]
    chosen, left_out = choose(scenarios)
    if not chosen:
        raise ColorfastError(
            f"{run}: no trait has scenarios enough ({next(iter(left_out.values()))})"
        )
    stamp = digest([plan, SCENARIOS, SAMPLES, CONTROLS])
    probe = Probe(run / FOLDER, experiment.model, stamp, chosen)
    seeds = experiment.seeds
    with folder_lock(probe.folder, wait=False):
        reading = probe.read(None, untrained)
        start = _Side(START, dict.fromkeys(seeds, reading), dict.fromkeys(seeds, untrained))
        arms = {}
        for arm in experiment.arms:
            readings = {s: probe.read(run / f"{arm}-s{s}", scores[arm][s]) for s in seeds}
            arms[arm] = _Side(arm, readings, scores[arm])
        pairs = [(arm, start) for arm in arms.values()]
        pairs += [(arm, arms[BASELINE]) for arm in arms.values() if arm.name != BASELINE]
        shifts: list[Shift] = []
        for ours, theirs in pairs:
            found, too_few = _compare(experiment, probe.held, ours, theirs)
            shifts += found
            left_out |= too_few
        agreements = tuple(agree(shifts, measure) for measure in MEASURES)
        qualities = tuple(probe.qualities)
        inside = Inside(experiment.model, qualities, tuple(shifts), agreements, left_out)
        write_json(probe.folder / "shifts.json", flat(inside))
    return inside


def _check_same(run: Path, experiment: Experiment, plan: Mapping[str, Any]) -> None:
    """Raises ColorfastError when the model or the scenarios are not those of the run."""
    scenarios = digest([s.model_dump(mode="json") for s in all_scenarios(experiment)])
    changed = ""
    if scenarios != plan["scenarios_sha256"]:
        changed = "the scenario files have"
    elif weights_sha256(resolve(experiment.model)) != plan["model_sha256"]:
        changed = f"the model {experiment.model} has"
    if changed:
        raise ColorfastError(
            f"{run}: {changed} changed since this run; run the experiment again into another --out"
        )


def _compare(
    experiment: Experiment, held: list[Scenario], ours: _Side, theirs: _Side
) -> tuple[list[Shift], dict[str, str]]:
    """The shifts by every measure; and those that cannot be measured, with the reason."""
    traits = {s.id: s.trait for s in heldout(experiment)}
    heldout_only = experiment.evaluation.model_copy(update={"benchmarks": ()})
    behaviour = {}
    for e in estimate(ours.name, ours.scores, theirs.scores, heldout_only, traits):
        behaviour[e.eval.partition("/")[2]] = e.difference.value
    places: dict[str, list[int]] = {}
    for k, scenario in enumerate(held):
        places.setdefault(scenario.trait, []).append(k)
    shifts: list[Shift] = []
    left_out: dict[str, str] = {}
    for measure in MEASURES:
        own, base = (
            np.stack([side.readings[seed][measure] for seed in experiment.seeds])
            for side in (ours, theirs)
        )
        moved = {trait: (own - base)[:, rows] for trait, rows in places.items()}
        found, too_few = shifted(Contrast(ours.name, theirs.name, measure), moved, behaviour)
        shifts += found
        for trait, reason in too_few.items():
            left_out[f"{trait}: {ours.name} against {theirs.name}, {measure}"] = reason
    return shifts, left_out
