"""Everything a report says, gathered once from a run folder."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colorfast.analysis import claims, results
from colorfast.analysis.claims import Ruling, rulings
from colorfast.analysis.compare import Alike, Explanation, Overall, alike
from colorfast.analysis.dose import Series, series
from colorfast.analysis.transfer import Transfer, transfer
from colorfast.config import Experiment
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT, SECOND, second_id
from colorfast.io.storage import digest, read_json
from colorfast.io.tables import read_scores
from colorfast.io.validation import read_jsonl
from colorfast.report.pairs import Pair, choose
from colorfast.report.says import Exchange, draw
from colorfast.runs.experiment import planned, unmeasured
from colorfast.runs.layout import BASELINE, START, cells
from colorfast.runs.status import statuses
from colorfast.stats.intervals import Structure, structure, summary
from colorfast.training.ledger import COUNTS, EXTRA, MATCHED, effective_dose
from colorfast.training.schedule import all_scenarios, heldout, unseen
from colorfast.types import TRAIT_SOURCE, ColorfastError, Estimate, Measure, Scores

HELDOUT_FAMILY = "held-out traits"
OTHER_GRADER = "held-out, by a grader that did not reward"
FEWEST_MODELS = 4
PAPERS_GAIN = next(c.effect for c in claims.load() if c.id == "mean-gain")
FEW_ITEMS = 6
"""Below this, even items that all agree in sign would not reach 5% in a sign test, whatever the
bootstrap says."""


@dataclass(frozen=True)
class Row:
    """One eval by one measure: an estimate per dosed arm, or None where no item was graded in
    both."""

    eval: str
    label: str
    family: str
    measure: Measure
    control: bool
    cells: tuple[Estimate | None, ...]

    @property
    def part(self) -> bool:
        """Part of another row (held-out of one trait): shown, never counted again."""
        return self.eval.startswith(f"{HELDOUT}/")

    @property
    def all_held_out(self) -> bool:
        """All held-out scenarios together, by any grader."""
        return self.eval.startswith(HELDOUT) and not self.part

    @property
    def by_other_grader(self) -> bool:
        """The replies to the held-out scenarios once more, by a grader that did not reward."""
        return self.eval.startswith(SECOND)

    @property
    def counted(self) -> bool:
        """Counts among the wins and losses: by score, a whole eval, no control, and not the same
        replies by another grader."""
        once = not self.part and not self.by_other_grader
        return self.measure == "score" and not self.control and once


@dataclass(frozen=True)
class Usage:
    """What a source used, over all seeds."""

    source: str
    prompts: int
    completions: int
    prompt_tokens: int
    completion_tokens: int
    truncated: int
    ungraded: int
    extra_tokens: int
    endpoint_tokens: int
    flops: int
    truncation: float
    """Share of the sampled replies that were cut off."""

    @property
    def tokens(self) -> int:
        """All that the policy read and wrote: prompts, replies, and what a method takes beyond
        them."""
        return self.prompt_tokens + self.completion_tokens + self.extra_tokens


@dataclass(frozen=True)
class Trained:
    """One arm under one seed. `effective`: trait share of the advantage mass; None when nothing had
    an advantage."""

    seed: int
    steps: int
    slots: int
    trait_slots: int
    shared_slots: int
    schedule: str
    seen: str
    weights: str | None
    effective: float | None
    used: tuple[int, ...]


Curve = tuple[tuple[int, float], ...]
"""(step, mean reward over seeds), without the steps that had no such prompt."""


@dataclass(frozen=True)
class ArmFacts:
    name: str
    dose: float
    runs: tuple[Trained, ...]
    usage: tuple[Usage, ...]
    total: Usage
    rewards: Mapping[str, Curve]
    """By source, the trait's first."""
    doses: Curve
    """The effective dose of all steps so far."""

    @property
    def effective(self) -> float | None:
        known = [r.effective for r in self.runs if r.effective is not None]
        return statistics.fmean(known) if known else None


@dataclass(frozen=True)
class Unmeasured:
    """An eval of the experiment that is compared nowhere, because some cell could not be asked it.
    `cause`: why not."""

    eval: str
    family: str
    cause: str


@dataclass(frozen=True)
class Findings:
    experiment: Experiment
    plan: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    arms: tuple[ArmFacts, ...]
    """The baseline, then the others by dose."""
    rows: tuple[Row, ...]
    estimates: tuple[Estimate, ...]
    pairs: tuple[Pair, ...]
    unmatched: tuple[str, ...]
    """Of steps, prompts and completions: those that were not equal in all arms."""
    corpus_changed: bool
    overall: Mapping[str, Overall | None]
    """By dosed arm; the counted evals together."""
    explanations: tuple[Explanation, ...]
    alike: Alike
    structure: Structure | None
    """What the counted evals have in common over all trained models; None with fewer than four
    models."""
    start: float | None
    """The untrained model's mean held-out score; None where nothing of it was graded."""
    unseen: Mapping[str, tuple[str, ...]]
    """By dosed arm: the held-out traits and domains that it never trained on."""
    rulings: tuple[Ruling, ...]
    """On the paper's claims."""
    series: tuple[Series, ...]
    """Arms that differ in their dose alone; empty where no two doses of anything were tried."""
    transfer: Transfer | None
    """Arms trained on some traits or domains, on those and on the others; None where there is no
    such arm."""
    says: tuple[Exchange, ...]
    """What every arm replied to a few held-out scenarios, drawn by name."""
    left: tuple[str, ...] = ()
    """The cells that are not compared here, and why: the experiment of these findings is what is
    whole of the one that was planned."""
    unmeasured: tuple[Unmeasured, ...] = ()

    @property
    def dosed(self) -> tuple[ArmFacts, ...]:
        return self.arms[1:]

    def detectable(self, arm: ArmFacts) -> list[float]:
        """The smallest differences that the counted evals of an arm would have shown, sorted; one
        on which nothing differed has none."""
        cells = (row.cells[self.dosed.index(arm)] for row in self.rows if row.counted)
        return sorted(e.detectable for e in cells if e and e.detectable is not None)

    @property
    def sections(self) -> list[tuple[str, bool, list[Row]]]:
        """(family, control, its rows), in reading order."""
        grouped: dict[tuple[str, bool], list[Row]] = {}
        for row in self.rows:
            grouped.setdefault((row.family, row.control), []).append(row)
        return [(family, control, rows) for (family, control), rows in grouped.items()]

    @property
    def few(self) -> list[str]:
        """Evals with so few items that their intervals mean little."""
        return list(
            dict.fromkeys(r.label for r in self.rows for c in r.cells if c and c.items < FEW_ITEMS)
        )


def gather(run: Path) -> Findings:
    """Read a finished run. Raises ColorfastError when a file is missing, damaged or of another
    version."""
    found = results.load(run)
    try:
        return _gather(run, found)
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise ColorfastError(
            f"{run}: a file of this run is damaged, or written by another version ({error!r})"
        ) from None


def _gather(run: Path, e: results.Evidence) -> Findings:
    experiment, scores = e.experiment, e.scores
    made = read_json(run / "run.json")
    names = [
        BASELINE,
        *sorted(
            (n for n in experiment.arms if n != BASELINE),
            key=lambda n: (experiment.arms[n].dose, n),
        ),
    ]
    held = {s.id: s for s in heldout(experiment)}
    found = {n: results.estimates(e, n) for n in experiment.arms if n != BASELINE}
    arms = tuple(_arm(run, experiment, name) for name in names)
    return Findings(
        experiment=experiment,
        plan=made["plan"],
        versions=made["versions"],
        machine=made["machine"],
        arms=arms,
        rows=tuple(
            _rows(
                experiment, names[1:], [e for part in found.values() for e in part], held.values()
            )
        ),
        estimates=tuple(e for name in names[1:] for e in found[name]),
        pairs=choose(e, names[:0:-1], held),
        unmatched=tuple(
            key
            for i, key in enumerate(MATCHED)
            if any(len({a.runs[s].used[i] for a in arms}) > 1 for s in _each(arms))
        ),
        corpus_changed=digest([s.model_dump(mode="json") for s in all_scenarios(experiment)])
        != made["plan"]["scenarios_sha256"],
        overall={n: results.together(e, n) for n in found},
        explanations=tuple(row for n in names[1:] for row in results.explained(e, n)),
        alike=alike(scores[BASELINE], experiment.evaluation),
        structure=_structure(experiment, scores),
        start=_start(run),
        unseen={
            n: tuple(
                name for names_ in unseen(experiment, experiment.arms[n]) for name in sorted(names_)
            )
            for n in names[1:]
        },
        rulings=rulings(e) if e.dosed else (),
        series=series(e),
        transfer=transfer(e),
        says=draw(e, names, held),
        left=tuple(_left(run, experiment)),
        unmeasured=tuple(_unmeasured(run, experiment)),
    )


def _unmeasured(run: Path, experiment: Experiment) -> Iterator[Unmeasured]:
    families = {b.id: b.family for b in map(benchmarks.get, planned(run).evaluation.benchmarks)}
    for name, cause in unmeasured(run, experiment).items():
        yield Unmeasured(name, families.get(name, ""), cause)


def _left(run: Path, experiment: Experiment) -> Iterator[str]:
    wanted = planned(run)
    if len(cells(experiment)) == len(cells(wanted)):
        return
    for s in statuses(run, wanted, [c for c in cells(wanted) if c not in cells(experiment)]):
        why = (
            "whole, but not under every seed compared here"
            if s.state == "done"
            else s.reason
            if s.reason
            else s.words
        )
        yield f"{s.cell.name} ({'failed: ' * bool(s.reason)}{why})"


def _structure(experiment: Experiment, scores: Mapping[str, Scores]) -> Structure | None:
    """Over every arm and seed, the capability controls regressed out where there are any."""
    evals = [benchmarks.get(name) for name in experiment.evaluation.benchmarks]
    rows, able = [], []
    for cell in (part for by_seed in scores.values() for part in by_seed.values()):
        means = {row["eval"]: row["score"] for row in summary(cell)}
        rows.append([means[b.id] for b in evals if not b.control])
        able.append([means[b.id] for b in evals if b.family == "capability"])
    if len(rows) < FEWEST_MODELS or any(v is None for row in rows + able for v in row):
        return None
    try:
        return structure(np.array(rows), np.array(able).mean(1) if able[0] else None)
    except ValueError:  # too few evals on which the models differ
        return None


def _start(run: Path) -> float | None:
    path = run / START / "scores.parquet"
    if not path.is_file():
        return None
    rows = [s for s in read_scores(path) if s.eval == HELDOUT]
    values = [s.value for s in rows if s.value is not None]
    return statistics.fmean(values) if values else None


def _each(arms: Sequence[ArmFacts]) -> range:
    return range(len(arms[0].runs))


def _arm(run: Path, experiment: Experiment, name: str) -> ArmFacts:
    cells = {seed: run / f"{name}-s{seed}" for seed in experiment.seeds}
    metrics = {
        seed: [row for _, row in read_jsonl(cell / "metrics.jsonl")] for seed, cell in cells.items()
    }
    ledgers = {seed: read_json(cell / "ledger.json") for seed, cell in cells.items()}
    sources = sorted(
        {s for used in ledgers.values() for s in used["sources"]},
        key=lambda s: (s != TRAIT_SOURCE, s),
    )
    return ArmFacts(
        name=name,
        dose=experiment.arms[name].dose,
        runs=tuple(
            _trained(seed, cells[seed], ledgers[seed], metrics[seed]) for seed in experiment.seeds
        ),
        usage=tuple(
            _usage(
                s,
                [used["sources"][s] for used in ledgers.values() if s in used["sources"]],
                _truncation(metrics.values(), {s}),
            )
            for s in sources
        ),
        total=_usage(
            "all",
            [used["total"] for used in ledgers.values()],
            _truncation(metrics.values(), sources),
        ),
        rewards={source: _curve(list(metrics.values()), source) for source in sources},
        doses=_doses(list(metrics.values())),
    )


def _trained(
    seed: int, cell: Path, used: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]
) -> Trained:
    planned = read_json(cell / "schedule.json")
    return Trained(
        seed=seed,
        steps=used["steps"],
        slots=planned["slots"],
        trait_slots=planned["trait_slots"],
        shared_slots=planned["shared_slots"],
        schedule=planned["sha256"],
        seen=used["schedule_seen"],
        weights=used.get("weights"),
        effective=effective_dose(metrics),
        used=tuple(used["steps"] if key == "steps" else used["total"][key] for key in MATCHED),
    )


def _usage(source: str, parts: Sequence[Mapping[str, int]], truncation: float) -> Usage:
    counts = {
        key: sum(p.get(key, 0) if key in EXTRA else p[key] for p in parts)
        for key in (*COUNTS, "flops")
    }  # older runs took nothing extra
    return Usage(source, **counts, truncation=truncation)


def _truncation(runs: Iterable[Sequence[Mapping[str, Any]]], sources: Collection[str]) -> float:
    """Over prompts, each of which had equally many replies."""
    rows = [
        v
        for metrics in runs
        for row in metrics
        for source, v in row["sources"].items()
        if source in sources
    ]
    prompts = sum(v["prompts"] for v in rows)
    return sum(v["truncation"] * v["prompts"] for v in rows) / prompts if prompts else 0.0


def _curve(runs: Sequence[Sequence[Mapping[str, Any]]], source: str) -> Curve:
    """Mean reward of a source by step, over seeds."""
    by_step: dict[int, list[float]] = {}
    for metrics in runs:
        for row in metrics:
            reward = row["sources"][source]["reward"] if source in row["sources"] else None
            if reward is not None:
                by_step.setdefault(row["step"], []).append(reward)
    return tuple((step, statistics.fmean(values)) for step, values in sorted(by_step.items()))


def _doses(runs: Sequence[Sequence[Mapping[str, Any]]]) -> Curve:
    by_step: dict[int, list[float]] = {}
    for metrics in runs:
        trait = every = 0.0
        for row in metrics:
            mass = {source: v["advantage_mass"] for source, v in row["sources"].items()}
            trait, every = trait + mass.get(TRAIT_SOURCE, 0.0), every + sum(mass.values())
            if every:
                by_step.setdefault(row["step"], []).append(trait / every)
    return tuple((step, statistics.fmean(values)) for step, values in sorted(by_step.items()))


def _rows(
    experiment: Experiment, arms: Sequence[str], found: Sequence[Estimate], held: Any
) -> Iterator[Row]:
    """A row for every eval of the experiment, also for one that could not be graded; controls
    last."""
    cells = {(e.eval, e.measure, e.arm): e for e in found}

    def row(
        name: str, label: str, family: str, measure: Measure = "score", control: bool = False
    ) -> Row:
        return Row(
            name,
            label,
            family,
            measure,
            control,
            tuple(cells.get((name, measure, arm)) for arm in arms),
        )

    yield row(HELDOUT, "all traits", HELDOUT_FAMILY)
    second = second_id(experiment.evaluation)
    if second:
        label = f"all traits, graded by {second.removeprefix(SECOND)}, which did not reward"
        yield row(second, label, HELDOUT_FAMILY)
    for trait in sorted({s.trait for s in held}):
        part = row(f"{HELDOUT}/{trait}", trait, HELDOUT_FAMILY)
        # a trait that joined the corpus after the run was never asked
        if any(part.cells):
            yield part
    evals = [benchmarks.get(name) for name in experiment.evaluation.benchmarks]
    families = list(dict.fromkeys(b.family for b in evals))
    for b in sorted(evals, key=lambda b: (b.control, families.index(b.family))):
        yield row(b.id, b.id, b.family, control=b.control)
        if b.kind == "choice":
            yield row(b.id, b.id, b.family, "probability", b.control)
