"""Replies of a run side by side: what each arm said to the same item, and what a step of training
sampled."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorfast.config import Experiment
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT
from colorfast.io.tables import read_rows, read_scores
from colorfast.io.validation import check_known
from colorfast.rewards.rubric import grade
from colorfast.runs.experiment import planned
from colorfast.runs.layout import START, UNTRAINED, Cell, cells
from colorfast.training.schedule import heldout, schedule
from colorfast.types import ColorfastError, Criterion, Item, Message, Reply, Score, Task


@dataclass(frozen=True)
class Said:
    """One reply. `who`: an arm, or a sample of a group. `parts`: (weight, text, verdict in [0, 1]
    or None) of each criterion, by code."""

    who: str
    text: str
    score: float | None
    reason: str = ""
    truncated: bool = False
    parts: tuple[tuple[float, str, float | None], ...] = ()
    advantage: float | None = None
    shown: bool = False
    critique: str = ""


@dataclass(frozen=True)
class Asked:
    """One item with the replies to it. `key`: which sample, or which slot. `prompt`: None when
    today's files do not hold it."""

    item: str
    key: str
    prompt: tuple[Message, ...] | None
    said: tuple[Said, ...]
    note: str = ""

    @property
    def spread(self) -> float:
        """The largest difference of two scores; 0 where not two were graded."""
        found = [s.score for s in self.said if s.score is not None]
        return max(found) - min(found) if found else 0.0


def _parts(
    rubric: Sequence[Criterion], values: Sequence[float | None]
) -> tuple[tuple[float, str, float | None], ...]:
    return tuple((c.weight, c.text, v) for c, v in zip(rubric, values, strict=False))


def replies(
    run: Path,
    name: str,
    arms: Collection[str] = (),
    seed: int | None = None,
    item: str | None = None,
    differing: bool = False,
) -> list[Asked]:
    """What arms (all that were scored when left out; `start` is the untrained model) answered to
    each item and sample of an eval.

    `differing`: only where scores differ, the largest difference first. Raises ColorfastError for
    an eval, arm or item that is not there.
    """
    experiment = planned(run)
    check_known("eval", [name], [HELDOUT, *_ids(experiment)])
    tables = _tables(run, experiment, name, arms, experiment.seeds[0] if seed is None else seed)
    items = _questions(experiment, name)
    keys = dict.fromkeys(key for table in tables.values() for key in table)
    found = [
        _asked(items.get(i), i, k, {arm: t[i, k] for arm, t in tables.items() if (i, k) in t})
        for i, k in keys
    ]
    if item is not None:
        check_known("item", [item], {a.item for a in found})
        found = [a for a in found if a.item == item]
    return (
        sorted((a for a in found if a.spread > 0), key=lambda a: -a.spread) if differing else found
    )


def _ids(experiment: Experiment) -> list[str]:
    return [benchmarks.get(name).id for name in experiment.evaluation.benchmarks]


def _tables(
    run: Path, experiment: Experiment, name: str, arms: Collection[str], seed: int
) -> dict[str, dict[tuple[str, int], Score]]:
    """By arm: the scores of this eval by item and sample."""
    check_known("seed", [str(seed)], [str(s) for s in experiment.seeds])
    places = {START: UNTRAINED} | {str(cell.arm): cell for cell in cells(experiment, seeds=[seed])}
    check_known("arm", arms, places)
    paths = {arm: run / places[arm].name / "scores" / f"{name}.parquet" for arm in arms or places}
    scored = {arm: path for arm, path in paths.items() if arms or (path.is_file() and arm != START)}
    return {arm: {(s.item, s.sample): s for s in read_scores(path)} for arm, path in scored.items()}


def _questions(experiment: Experiment, name: str) -> Mapping[str, Task | Item]:
    if name == HELDOUT:
        return {s.id: s for s in heldout(experiment)}
    found = next(
        benchmarks.get(b) for b in experiment.evaluation.benchmarks if benchmarks.get(b).id == name
    )
    return {i.id: i for i in found.items()}


def _asked(asked: Task | Item | None, item: str, sample: int, scores: Mapping[str, Score]) -> Asked:
    said = tuple(_said(arm, score, asked) for arm, score in scores.items())
    aligned = ", ".join(asked.choices[i] for i in asked.aligned) if isinstance(asked, Item) else ""
    return Asked(
        item,
        f"sample {sample}",
        asked.messages if asked else None,
        said,
        f"aligned: {aligned}" if aligned else "",
    )


def _said(arm: str, score: Score, asked: Task | Item | None) -> Said:
    parts: tuple[tuple[float, str, float | None], ...] = ()
    if isinstance(asked, Task):
        parts = _parts(asked.rubric, grade(Reply(score.reply, score.truncated), asked).parts)
    return Said(arm, score.reply, score.value, score.reason, score.truncated, parts)


def steps(cell: Path) -> list[int]:
    """The steps whose rollouts were kept."""
    return sorted(int(path.stem) for path in (cell / "rollouts").glob("*.parquet"))


def rollouts(
    run: Path, arm: str, step: int | None = None, seed: int | None = None, source: str | None = None
) -> list[Asked]:
    """The groups of replies that a step of training sampled (the last step kept, when left out), of
    one source or all.

    Raises ColorfastError for a step that was not kept.
    """
    experiment = planned(run)
    chosen = experiment.seeds[0] if seed is None else seed
    check_known("arm", [arm], experiment.arms)
    check_known("seed", [str(chosen)], [str(s) for s in experiment.seeds])
    cell = run / Cell(arm, chosen).name
    kept = steps(cell)
    if not kept or step not in (None, *kept):
        there = (
            f"kept are {', '.join(map(str, kept))} (training.keep_rollouts_every)"
            if kept
            else "none is kept yet; run it on"
        )
        raise ColorfastError(
            f"{cell}: no rollouts of {'any step' if step is None else f'step {step}'}; {there}"
        )
    rows = read_rows(cell / "rollouts" / f"{kept[-1] if step is None else step:05d}.parquet")
    check_known("source", [source] if source else [], {row["source"] for row in rows})
    tasks = {slot.index: slot.task for slot in schedule(experiment, experiment.arms[arm], chosen)}
    return list(_groups([row for row in rows if source in (None, row["source"])], tasks))


def _groups(rows: Sequence[dict[str, Any]], tasks: Mapping[int, Task]) -> Iterator[Asked]:
    for slot in dict.fromkeys(row["slot"] for row in rows):
        group = [row for row in rows if row["slot"] == slot]
        task = tasks.get(slot)
        same = task if task and task.id == group[0]["task"] else None
        yield Asked(
            group[0]["task"],
            f"slot {slot}",
            same.messages if same else None,
            tuple(_rolled(row, same) for row in group),
            group[0]["source"],
        )


def _rolled(row: dict[str, Any], task: Task | None) -> Said:
    parts = _parts(task.rubric, row["parts"] or ()) if task else ()
    return Said(
        f"sample {row['sample']}",
        row["reply"],
        row["score"],
        row["reason"] or "",
        row["truncated"],
        parts,
        row["advantage"],
        row["shown"],
        row.get("critique") or "",
    )
