"""Replies of a run side by side: of the arms to the same item, and of a step of training."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from colorfast.config import Experiment
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT
from colorfast.io.tables import read_rows, read_scores
from colorfast.io.validation import check_known
from colorfast.rewards.rubric import grade
from colorfast.runs.folder import stored_experiment
from colorfast.runs.layout import START, UNTRAINED, Cell, cells
from colorfast.training.schedule import heldout, schedule
from colorfast.types import Benchmark, ColorfastError, Criterion, Item, Message, Reply, Score, Task


@dataclass(frozen=True)
class CriterionScore:
    """How far a reply meets a criterion by code: `value` in [0, 1], or None."""

    weight: float
    criterion: str
    value: float | None


@dataclass(frozen=True)
class GradedReply:
    """One reply. `who`: an arm, or a sample of a group."""

    who: str
    text: str
    score: float | None
    reason: str = ""
    truncated: bool = False
    parts: tuple[CriterionScore, ...] = ()
    advantage: float | None = None
    shown: bool = False
    critique: str = ""


@dataclass(frozen=True)
class ItemReplies:
    """One item with the replies to it. `key`: which sample, or which slot. `prompt`: None when
    today's files do not hold it."""

    item: str
    key: str
    prompt: tuple[Message, ...] | None
    replies: tuple[GradedReply, ...]
    note: str = ""

    @property
    def spread(self) -> float:
        """The largest difference of two scores; 0 where fewer than two replies were graded."""
        scores = [r.score for r in self.replies if r.score is not None]
        return max(scores) - min(scores) if scores else 0.0


def select(groups: list[ItemReplies], item: str | None, differing: bool) -> list[ItemReplies]:
    """Only an item, or all; with `differing` only where scores differ, the largest difference
    first. Raises ColorfastError for an item that is not there."""
    if item is not None:
        check_known("item", [item], {x.item for x in groups})
        groups = [x for x in groups if x.item == item]
    if differing:
        groups = sorted((x for x in groups if x.spread > 0), key=lambda x: -x.spread)
    return groups


def replies(
    run: Path, name: str, arms: Collection[str] = (), seed: int | None = None
) -> list[ItemReplies]:
    """What arms answered to each item and sample of an eval: `arms`, or all that were scored.
    `start` is the untrained model.

    Raises ColorfastError for an eval, arm or seed that is not there.
    """
    experiment = stored_experiment(run)
    evals = {b.id: b for b in map(benchmarks.get, experiment.evaluation.benchmarks)}
    check_known("eval", [name], [HELDOUT, *evals])
    tables = _tables(run, name, arms, _seed(experiment, seed))
    items = _items(experiment, evals.get(name))
    groups = []
    for item, sample in dict.fromkeys(chain.from_iterable(tables.values())):
        task = items.get(item)
        scores = {arm: t[item, sample] for arm, t in tables.items() if (item, sample) in t}
        own = tuple(_graded(arm, score, task) for arm, score in scores.items())
        prompt = task.messages if task else None
        groups.append(ItemReplies(item, f"sample {sample}", prompt, own, _aligned(task)))
    return groups


def _seed(experiment: Experiment, seed: int | None) -> int:
    chosen = experiment.seeds[0] if seed is None else seed
    check_known("seed", [str(chosen)], [str(s) for s in experiment.seeds])
    return chosen


def _tables(
    run: Path, name: str, arms: Collection[str], seed: int
) -> dict[str, dict[tuple[str, int], Score]]:
    """By arm: the scores of an eval by item and sample."""
    folders = {START: UNTRAINED}
    folders |= {cell.arm: cell for cell in cells(stored_experiment(run), seeds=[seed])}
    check_known("arm", arms, folders)
    tables = {}
    for arm in arms or folders:
        path = run / folders[arm].name / "scores" / f"{name}.parquet"
        if arms or (path.is_file() and arm != START):
            tables[arm] = {(s.item, s.sample): s for s in read_scores(path)}
    return tables


def _items(experiment: Experiment, benchmark: Benchmark | None) -> Mapping[str, Task | Item]:
    if benchmark is None:
        return {s.id: s for s in heldout(experiment)}
    return {i.id: i for i in benchmark.items()}


def _aligned(task: Task | Item | None) -> str:
    """The aligned choices of a choice item."""
    if not isinstance(task, Item) or not task.aligned:
        return ""
    return f"aligned: {', '.join(task.choices[i] for i in task.aligned)}"


def _graded(arm: str, score: Score, task: Task | Item | None) -> GradedReply:
    parts: tuple[CriterionScore, ...] = ()
    if isinstance(task, Task):
        parts = _parts(task.rubric, grade(Reply(score.reply, score.truncated), task).parts)
    return GradedReply(arm, score.reply, score.value, score.reason, score.truncated, parts)


def _parts(
    rubric: Sequence[Criterion], values: Sequence[float | None]
) -> tuple[CriterionScore, ...]:
    graded = zip(rubric, values, strict=False)
    return tuple(CriterionScore(c.weight, c.text, value) for c, value in graded)


def rollouts(
    run: Path, arm: str, step: int | None = None, seed: int | None = None, source: str | None = None
) -> list[ItemReplies]:
    """The groups of replies that a step of training sampled (the last step kept, when left out), of
    one source or all.

    Raises ColorfastError for a step that was not kept.
    """
    experiment = stored_experiment(run)
    check_known("arm", [arm], experiment.arms)
    chosen = _seed(experiment, seed)
    rows = read_rows(_rollout_file(run / Cell(arm, chosen).name, step))
    check_known("source", [source] if source else [], {row["source"] for row in rows})
    slots = schedule(experiment, experiment.arms[arm], chosen)
    tasks = {slot.index: slot.task for slot in slots}
    return list(_groups([row for row in rows if source in (None, row["source"])], tasks))


def _rollout_file(cell: Path, step: int | None) -> Path:
    files = sorted((cell / "rollouts").glob("*.parquet"))
    kept = {int(path.stem): path for path in files}
    if kept and step is None:
        return files[-1]
    if step in kept:
        return kept[step]
    steps = ", ".join(map(str, kept))
    there = f"kept are {steps} (training.keep_rollouts_every)"
    if not kept:
        there = "none is kept yet; continue the run"
    which = "any step" if step is None else f"step {step}"
    raise ColorfastError(f"{cell}: no rollouts of {which}; {there}")


def _groups(rows: Sequence[dict[str, Any]], tasks: Mapping[int, Task]) -> Iterator[ItemReplies]:
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["slot"], []).append(row)
    for slot, group in groups.items():
        name, task = group[0]["task"], tasks.get(slot)
        if task and task.id != name:  # the corpus has changed since this run
            task = None
        own = tuple(_sampled(row, task) for row in group)
        prompt = task.messages if task else None
        yield ItemReplies(name, f"slot {slot}", prompt, own, group[0]["source"])


def _sampled(row: dict[str, Any], task: Task | None) -> GradedReply:
    return GradedReply(
        who=f"sample {row['sample']}",
        text=row["reply"],
        score=row["score"],
        reason=row["reason"] or "",
        truncated=row["truncated"],
        parts=_parts(task.rubric, row["parts"] or ()) if task else (),
        advantage=row["advantage"],
        shown=row["shown"],
        critique=row.get("critique") or "",
    )
