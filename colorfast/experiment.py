"""An experiment from its TOML to its run folder: every arm trained, scored and compared; stopped anywhere, it continues."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from colorfast import __version__, benchmarks, standard
from colorfast.compare import Scores
from colorfast.console import console, progress
from colorfast.evaluate import check_stamps, evaluate, few, work
from colorfast.grade import grader
from colorfast.grading import make_ready
from colorfast.ledger import MATCHED
from colorfast.models import resolve, weights_sha256
from colorfast.names import check_known, nearest, one_line
from colorfast.rundir import alone, digest, read_json, write_json
from colorfast.schedule import all_scenarios, check_disjoint, heldout, schedule, summary
from colorfast.tables import read_scores, read_stamps
from colorfast.types import Arm, ColorfastError, Experiment

HOME = Path(__file__).parent / "experiments"
BASELINE = "baseline"
START = "start"
"""The folder of the untrained model's scores on the held-out scenarios."""


def names() -> list[str]:
    """The experiments shipped: one TOML each."""
    return sorted(p.stem for p in HOME.glob("*.toml"))


def load(name: str) -> Experiment:
    """An experiment by name or path, checked to the last name in it. Raises ColorfastError with file, key and cure."""
    path = HOME / f"{name}.toml" if name in names() else Path(name)
    if not path.is_file():
        raise ColorfastError(f"experiment {name!r}: no such file; {nearest(name, names())}")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ColorfastError(f"{path}: not TOML ({error})") from None
    for table, key in ((raw, "scenarios"), (raw, "standard"), (raw.get("evaluation"), "benchmarks")):
        if isinstance(table, dict) and isinstance(table.get(key), list):
            table[key] = [_beside(path, v) for v in table[key]]
    if isinstance(raw.get("evaluation"), dict) and _are_names(raw["evaluation"].get("benchmarks")):
        raw["evaluation"]["benchmarks"] = benchmarks.expand(raw["evaluation"]["benchmarks"])
    try:
        experiment = Experiment.model_validate(raw)
        _check(experiment)
    except ValidationError as error:
        raise ColorfastError(f"{path}: {one_line(error, Experiment)}") from None
    except ColorfastError as error:
        raise ColorfastError(f"{path}: {error}") from None
    return experiment


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _beside(path: Path, value: Any) -> Any:
    """A relative file name in a TOML is relative to the TOML; names of shipped things stay names."""
    is_file = isinstance(value, str) and value.endswith((".jsonl", ".py"))
    return str((path.parent / value).resolve()) if is_file else value


def _check(experiment: Experiment) -> None:
    if experiment.arms.get(BASELINE, Arm(dose=1)).dose != 0:
        raise ColorfastError(f"arms: one arm must be called {BASELINE!r} and have dose = 0")
    standard.check(experiment.standard)
    rows = all_scenarios(experiment)
    for row in rows:
        for criterion in row.rubric:
            grader(criterion.grader)
    for name, arm in experiment.arms.items():
        check_known(f"trait in arms.{name}", arm.traits, {s.trait for s in rows})
        check_known(f"domain in arms.{name}", arm.domains, {s.domain for s in rows})
    for name in experiment.evaluation.benchmarks:
        benchmarks.get(name)
    held = heldout(experiment)
    for arm in experiment.arms.values():
        check_disjoint([slot.task for slot in schedule(experiment, arm, experiment.seeds[0])], held)


def _first_difference(old: Any, new: Any, where: str = "") -> str | None:
    """The first key, in reading order, at which two plain values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(k for k in old if k not in new)]:
            found = _first_difference(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
            if found:
                return found
        return None
    return None if old == new else f"{where}: was {json.dumps(old)}, is now {json.dumps(new)}"


def _settle(experiment: Experiment, folder: Path, model: Path) -> None:
    """Write what this run is, or check that the folder belongs to the very same experiment."""
    plan = {
        "experiment": experiment.model_dump(mode="json"),
        "model_sha256": weights_sha256(model),
        "scenarios_sha256": digest([s.model_dump(mode="json") for s in all_scenarios(experiment)]),
    }
    path = folder / "run.json"
    traits = {s.id: s.trait for s in heldout(experiment)}
    if path.exists():
        different = _first_difference(read_json(path)["plan"], plan)
        if different:
            raise ColorfastError(f"{folder}: made by another experiment ({different}); give another --out, or delete it")
        return
    versions = {"colorfast": __version__} | {
        name: importlib.metadata.version(name) for name in ("torch", "transformers", "trl", "peft", "accelerate", "numpy", "scipy")
    }
    machine = {"python": platform.python_version(), "system": platform.platform(), "processor": platform.processor() or platform.machine()}
    write_json(path, {"plan": plan, "traits": traits, "versions": versions, "machine": machine})


def _check_disk(experiment: Experiment, folder: Path, model: Path) -> None:
    size = sum(f.stat().st_size for f in model.glob("*.safetensors"))
    left = sum(not (folder / _cell(arm, seed) / "ledger.json").exists() for arm in experiment.arms for seed in experiment.seeds)
    needed = int(size * (left + (6 if experiment.training.method == "full" else 1)) * 1.1) if left else 0
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ColorfastError(
            f"{folder}: {free / 1e9:.1f} GB free, this run needs about {needed / 1e9:.1f} GB; free some space or give another --out"
        )


def _cell(arm: str, seed: int) -> str:
    return f"{arm}-s{seed}"


def check_matched(folder: Path, experiment: Experiment) -> None:
    """Raises ColorfastError when two arms of one seed did not use the same steps, prompts and completions."""
    for seed in experiment.seeds:
        used = {arm: read_json(folder / _cell(arm, seed) / "ledger.json") for arm in experiment.arms}
        for key in MATCHED:
            values = {arm: u["steps"] if key == "steps" else u["total"][key] for arm, u in used.items()}
            if len(set(values.values())) > 1:
                raise ColorfastError(f"{folder}: the arms are not compute-matched, {key} differ: {values}")


def run(experiment: Experiment, out: Path) -> Path:
    """Train and score every arm under every seed into `out/NAME`, then compare. Returns the run folder."""
    from colorfast.engines import trl
    from colorfast.policies.local import load_policy

    folder = out / experiment.name
    held = heldout(experiment)
    for grading in (experiment.training.reward, experiment.evaluation.grading):
        make_ready(grading)
    for line in few(experiment.evaluation):
        console.print(f"note: {line}", markup=False)
    asked = work(experiment.evaluation, held)  # reads every benchmark file, so that a bad one is found before training
    with alone(folder, wait=False):
        model = resolve(experiment.model)
        _settle(experiment, folder, model)
        _check_disk(experiment, folder, model)
        for seed in experiment.seeds:
            baseline = schedule(experiment, experiment.arms[BASELINE], seed)
            for name, arm in experiment.arms.items():
                cell = folder / _cell(name, seed)
                slots = schedule(experiment, arm, seed)
                check_disjoint([s.task for s in slots], held)
                write_json(cell / "schedule.json", summary(slots, baseline, arm))
                trl.train(str(model), slots, experiment.training, seed, cell)
        check_matched(folder, experiment)
        untrained = experiment.evaluation.model_copy(update={"benchmarks": ()})
        jobs = [(folder / START, str(model), untrained, len(held) * untrained.samples)]
        for seed in experiment.seeds:
            for name in experiment.arms:
                cell = folder / _cell(name, seed)
                check_disjoint([s.task for s in schedule(experiment, experiment.arms[name], seed)], held)
                jobs.append((cell, str(cell / "checkpoint"), experiment.evaluation, asked))
        for cell, trained, evaluation, replies in jobs:
            if not (cell / "scores.parquet").is_file():
                policy = load_policy(trained, evaluation.batch_size)
                with progress(f"evaluate {cell.name}", replies) as advance:
                    evaluate(policy, held, evaluation, experiment.system, cell, advance)
        console.print(f"done: {folder}", markup=False)
    return folder


def load_run(folder: Path) -> Experiment:
    """The experiment that made a run folder. Raises ColorfastError when it is not one."""
    if not (folder / "run.json").is_file():
        raise ColorfastError(f"{folder}: not a run folder (no run.json); run an experiment first: colorfast run quick")
    try:
        return Experiment.model_validate(read_json(folder / "run.json")["plan"]["experiment"])
    except (ValidationError, KeyError, TypeError):
        raise ColorfastError(
            f"{folder}/run.json: damaged, or written by another version; run the experiment again into another --out"
        ) from None


def load_scores(folder: Path, experiment: Experiment) -> dict[str, Scores]:
    """Every arm's scores by seed. Raises ColorfastError when two tables were not asked or scored alike."""
    tables = {arm: {seed: folder / _cell(arm, seed) / "scores.parquet" for seed in experiment.seeds} for arm in experiment.arms}
    wanted = read_stamps(tables[BASELINE][experiment.seeds[0]])
    for path in (path for by_seed in tables.values() for path in by_seed.values()):
        check_stamps(path, read_stamps(path), wanted)
    return {arm: {seed: read_scores(path) for seed, path in by_seed.items()} for arm, by_seed in tables.items()}
