"""Findings, read from a run folder."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from colorfast.analysis import results
from colorfast.analysis.compare import aa_test
from colorfast.analysis.dose import series
from colorfast.analysis.estimate import Estimate, Measure
from colorfast.analysis.rulings import rulings
from colorfast.analysis.transfer import transfer
from colorfast.config import Experiment
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT, SECOND, second_id
from colorfast.interp.shift import load
from colorfast.io.storage import digest, read_json
from colorfast.io.tables import read_scores
from colorfast.io.validation import read_jsonl
from colorfast.report.findings import ArmFacts, Curve, Findings, Row, Trained, Unmeasured, Usage
from colorfast.report.pairs import choose
from colorfast.report.samples import draw
from colorfast.runs.folder import stored_experiment, unmeasured
from colorfast.runs.layout import BASELINE, START, cells
from colorfast.runs.status import statuses
from colorfast.stats.intervals import summary
from colorfast.stats.structure import Structure, structure
from colorfast.training.ledger import COUNTS, EXTRA, MATCHED, effective_dose
from colorfast.training.schedule import all_scenarios, heldout, unseen
from colorfast.types import TRAIT_SOURCE, ColorfastError, Scores

FEWEST_MODELS = 4
Metrics = Sequence[Mapping[str, Any]]
"""A row a step, of one cell."""


def gather(run: Path) -> Findings:
    """Read a finished run. Raises ColorfastError when a file is missing, damaged or of another
    version."""
    evidence = results.load(run)
    try:
        return _gather(run, evidence)
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise ColorfastError(
            f"{run}: a file of this run is damaged, or written by another version ({error!r})"
        ) from None


def _gather(run: Path, e: results.Evidence) -> Findings:
    experiment, made = e.experiment, read_json(run / "run.json")
    attacks = run / "attacks" / "persistence.json"
    others = [name for name in experiment.arms if name != BASELINE]
    dosed = sorted(others, key=lambda name: (experiment.arms[name].dose, name))
    held = {s.id: s for s in heldout(experiment)}
    arms = tuple(_arm(run, experiment, name) for name in (BASELINE, *dosed))
    estimates = list(chain.from_iterable(results.estimates(e, name) for name in dosed))
    scenarios = digest([s.model_dump(mode="json") for s in all_scenarios(experiment)])
    return Findings(
        experiment=experiment,
        plan=made["plan"],
        versions=made["versions"],
        machine=made["machine"],
        arms=arms,
        rows=tuple(_rows(experiment, dosed, estimates, sorted({s.trait for s in held.values()}))),
        estimates=tuple(estimates),
        pairs=choose(e, dosed[::-1], held),
        unmatched=tuple(key for key in MATCHED if not _is_equal(arms, key)),
        corpus_changed=scenarios != made["plan"]["scenarios_sha256"],
        overall={name: results.together(e, name) for name in others},
        explanations=tuple(chain.from_iterable(results.explained(e, name) for name in dosed)),
        aa_test=aa_test(e.scores[BASELINE], experiment.evaluation),
        structure=_structure(experiment, e.scores),
        start=_start(run),
        unseen={name: _unseen(experiment, name) for name in dosed},
        rulings=rulings(e) if e.dosed else (),
        series=series(e),
        transfer=transfer(e),
        samples=draw(e, [BASELINE, *dosed], held),
        left=tuple(_left(run, experiment)),
        unmeasured=tuple(_unmeasured(run, experiment)),
        shifts=load(run),
        attacks=read_json(attacks) if attacks.is_file() else None,
    )


def _is_equal(arms: Sequence[ArmFacts], key: str) -> bool:
    """Whether all arms used the same under each seed."""
    used = [[r.used[key] for r in arm.runs] for arm in arms]
    return all(other == used[0] for other in used)


def _unseen(experiment: Experiment, name: str) -> tuple[str, ...]:
    traits, domains = unseen(experiment, experiment.arms[name])
    return (*sorted(traits), *sorted(domains))


def _unmeasured(run: Path, experiment: Experiment) -> Iterator[Unmeasured]:
    families = {
        b.id: b.family for b in map(benchmarks.get, stored_experiment(run).evaluation.benchmarks)
    }
    for name, cause in unmeasured(run, experiment).items():
        yield Unmeasured(name, families.get(name, ""), cause)


def _left(run: Path, experiment: Experiment) -> Iterator[str]:
    """The planned cells that the compared experiment lacks, each with the reason."""
    plan, compared = stored_experiment(run), cells(experiment)
    missing = [cell for cell in cells(plan) if cell not in compared]
    for s in statuses(run, plan, missing) if missing else ():
        if s.state == "done":
            why = "whole, but not under every seed compared here"
        else:
            why = s.reason or s.words
        failed = "failed: " if s.reason else ""
        yield f"{s.cell.name} ({failed}{why})"


def _structure(experiment: Experiment, scores: Mapping[str, Scores]) -> Structure | None:
    """Over every arm and seed, the capability controls regressed out where there are any."""
    evals = [benchmarks.get(name) for name in experiment.evaluation.benchmarks]
    rows, abilities = [], []
    for by_seed in scores.values():
        for cell in by_seed.values():
            means = {row["eval"]: row["score"] for row in summary(cell)}
            rows.append([means[b.id] for b in evals if not b.control])
            abilities.append([means[b.id] for b in evals if b.family == "capability"])
    if len(rows) < FEWEST_MODELS or any(None in row for row in rows + abilities):
        return None
    try:
        return structure(np.array(rows), np.array(abilities).mean(1) if abilities[0] else None)
    except ValueError:  # too few evals on which the models differ
        return None


def _start(run: Path) -> float | None:
    path = run / START / "scores.parquet"
    scores = read_scores(path) if path.is_file() else []
    values = [s.value for s in scores if s.eval == HELDOUT and s.value is not None]
    return statistics.fmean(values) if values else None


def _arm(run: Path, experiment: Experiment, name: str) -> ArmFacts:
    folders = [run / f"{name}-s{seed}" for seed in experiment.seeds]
    metrics = [[row for _, row in read_jsonl(cell / "metrics.jsonl")] for cell in folders]
    ledgers = [read_json(cell / "ledger.json") for cell in folders]
    names = set(chain.from_iterable(used["sources"] for used in ledgers))
    sources = sorted(names, key=lambda source: (source != TRAIT_SOURCE, source))
    trained = zip(experiment.seeds, folders, ledgers, metrics, strict=True)
    usage = []
    for source in sources:
        parts = [used["sources"][source] for used in ledgers if source in used["sources"]]
        usage.append(_usage(source, parts, _truncation(metrics, [source])))
    totals = [used["total"] for used in ledgers]
    return ArmFacts(
        name=name,
        dose=experiment.arms[name].dose,
        runs=tuple(_trained(*cell) for cell in trained),
        usage=tuple(usage),
        total=_usage("all", totals, _truncation(metrics, sources)),
        rewards={source: _curve(metrics, source) for source in sources},
        doses=_doses(metrics),
    )


def _trained(seed: int, cell: Path, used: Mapping[str, Any], metrics: Metrics) -> Trained:
    schedule = read_json(cell / "schedule.json")
    return Trained(
        seed=seed,
        steps=used["steps"],
        slots=schedule["slots"],
        trait_slots=schedule["trait_slots"],
        shared_slots=schedule["shared_slots"],
        schedule=schedule["sha256"],
        seen=used["schedule_seen"],
        weights=used.get("weights"),
        effective=effective_dose(metrics),
        used={key: (used | used["total"])[key] for key in MATCHED},
    )


def _usage(source: str, parts: Sequence[Mapping[str, int]], truncation: float) -> Usage:
    counts = dict.fromkeys((*COUNTS, "flops"), 0)
    for part in parts:
        for key in counts:
            # older runs took nothing extra
            counts[key] += part.get(key, 0) if key in EXTRA else part[key]
    return Usage(source, truncation, **counts)


def _truncation(runs: Iterable[Metrics], sources: Sequence[str]) -> float:
    """Share of replies that were cut off. Every prompt has equally many replies."""
    cut = prompts = 0.0
    for metrics in runs:
        for row in metrics:
            for source in sources:
                values = row["sources"].get(source)
                if values:
                    cut += values["truncation"] * values["prompts"]
                    prompts += values["prompts"]
    return cut / prompts if prompts else 0.0


def _curve(runs: Iterable[Metrics], source: str) -> Curve:
    """Mean reward of a source by step."""
    by_step: dict[int, list[float]] = {}
    for metrics in runs:
        for row in metrics:
            reward = row["sources"].get(source, {}).get("reward")
            if reward is not None:
                by_step.setdefault(row["step"], []).append(reward)
    return _means(by_step)


def _doses(runs: Iterable[Metrics]) -> Curve:
    """The trait's share of the advantage mass of all steps so far."""
    by_step: dict[int, list[float]] = {}
    for metrics in runs:
        trait = total = 0.0
        for row in metrics:
            mass = {source: values["advantage_mass"] for source, values in row["sources"].items()}
            trait += mass.get(TRAIT_SOURCE, 0.0)
            total += sum(mass.values())
            if total:
                by_step.setdefault(row["step"], []).append(trait / total)
    return _means(by_step)


def _means(by_step: Mapping[int, Sequence[float]]) -> Curve:
    return tuple((step, statistics.fmean(values)) for step, values in sorted(by_step.items()))


def _rows(
    experiment: Experiment, arms: Sequence[str], estimates: Sequence[Estimate], traits: list[str]
) -> Iterator[Row]:
    """A row for every eval of the experiment, also for one that could not be graded; controls
    last."""
    known = {(e.eval, e.measure, e.arm): e for e in estimates}

    def cells(name: str, measure: Measure = "score") -> dict[str, Estimate | None]:
        """By arm."""
        return {arm: known.get((name, measure, arm)) for arm in arms}

    family = "held-out traits"
    yield Row(HELDOUT, "all traits", family, cells(HELDOUT))
    second = second_id(experiment.evaluation)
    if second:
        label = f"all traits, graded by {second.removeprefix(SECOND)}, which did not reward"
        yield Row(second, label, family, cells(second))
    for trait in traits:
        own = cells(f"{HELDOUT}/{trait}")
        # a trait that joined the corpus after the run was never asked
        if any(own.values()):
            yield Row(f"{HELDOUT}/{trait}", trait, family, own)
    evals = [benchmarks.get(name) for name in experiment.evaluation.benchmarks]
    families = list(dict.fromkeys(b.family for b in evals))
    for b in sorted(evals, key=lambda b: (b.control, families.index(b.family))):
        row = Row(b.id, b.id, b.family, cells(b.id), control=b.control)
        yield row
        if b.kind == "choice":
            yield replace(row, cells=cells(b.id, "probability"), measure="probability")
