"""How far a run is, read from its files alone: the state of every cell, failures, and the time
left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from colorfast.config import Experiment
from colorfast.evals.reach import without
from colorfast.io.storage import in_use, read_json
from colorfast.runs.layout import (
    UNTRAINED,
    Cell,
    is_trained,
    is_whole,
    read_value,
    unmeasured_evals,
)
from colorfast.runs.timing import Left, Pace, Phase, estimate_left, eval_units, read_clock
from colorfast.types import ColorfastError

FAILED = "failed.json"
State = Literal["waiting", "training", "evaluating", "stopped", "failed", "done"]
SETTLED = 2
"""Training steps before the time left is told: the first one pays for one-time set-up."""
BUSY = ("training", "evaluating")
STYLES: dict[State, str] = {
    "waiting": "dim",
    "training": "bold",
    "evaluating": "bold",
    "stopped": "yellow",
    "failed": "red",
    "done": "green",
}


@dataclass(frozen=True)
class Status:
    """The state of one cell. `steps` and `evals`: (done, in all). `has_checkpoint`: a
    stopped training continues from one. `reason`: of a failure. `shared_from`: the cell of
    another experiment whose weights were reused. `unmeasured`: evals that a done cell lacks because
    they could not be run."""

    cell: Cell
    state: State
    trained: bool
    steps: tuple[int, int]
    evals: tuple[int, int]
    training: Pace
    evaluation: Pace
    has_checkpoint: bool = False
    reason: str = ""
    shared_from: str = ""
    unmeasured: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The state in words, such as `training step 3 of 20`."""
        if self.state in ("waiting", "failed", "done"):
            notes = ["shared"] if self.state == "done" and self.shared_from else []
            if self.unmeasured:
                notes.append(f"{len(self.unmeasured)} evals not measured")
            return f"{self.state} ({', '.join(notes)})" if notes else self.state
        verb = "stopped at" if self.state == "stopped" else self.state
        if self.trained:
            return f"{verb} eval {self.evals[0]} of {self.evals[1]}"
        lost = self.state == "stopped" and not self.has_checkpoint
        note = ", before its first checkpoint" if lost else ""
        return f"{verb} step {self.steps[0]} of {self.steps[1]}{note}"

    def plain(self) -> dict[str, Any]:
        """The status as plain data, for `--json`."""
        return {
            "cell": self.cell.name,
            "arm": self.cell.arm or None,
            "seed": self.cell.seed if self.cell.arm else None,
            "state": self.state,
            "steps": {"done": self.steps[0], "of": self.steps[1]},
            "evals": {"done": self.evals[0], "of": self.evals[1]},
            "reason": self.reason,
            "shared_from": self.shared_from,
            "unmeasured": list(self.unmeasured),
        }


def steps_done(cell: Path) -> int:
    """The number of finished steps: training writes a row of metrics after each."""
    path = cell / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def units_done(cell: Path, experiment: Experiment, heldout: int) -> float:
    """The work of a cell's finished evals (see `eval_units`)."""
    units, items = eval_units(experiment.evaluation, heldout), experiment.evaluation.items
    return sum(units.get(path.stem, items) for path in (cell / "scores").glob("*.parquet"))


def status(run: Path, experiment: Experiment, cell: Cell, heldout: int) -> Status:
    """The status of one cell. `heldout`: the number of held-out scenarios."""
    folder, training, evaluation = run / cell.name, experiment.training, experiment.evaluation
    steps, trained = training.steps, is_trained(run, cell)
    if cell == UNTRAINED:
        steps, trained, evaluation = 0, True, without(evaluation, evaluation.benchmarks)
    units = eval_units(evaluation, heldout)
    done, scored = min(steps_done(folder), steps), len(list((folder / "scores").glob("*.parquet")))
    running, unmeasured = in_use(folder), _unmeasured(run, cell)
    if is_whole(run, cell) and not (running and unmeasured):
        state: State = "done"
    elif running:
        state = "evaluating" if trained else "training"
    elif (folder / FAILED).is_file():
        state = "failed"
    else:
        state = "stopped" if done or scored else "waiting"
    clock = read_clock(folder)

    def pace(phase: Phase, done: float, total: float, unit: float) -> Pace:
        spent = clock.spent(phase, done, running)
        left = 0 if state in ("done", "failed") else max(0, total - done)
        return Pace(spent.seconds, spent.units * unit, left * unit)

    # A step samples, and trains on, this many replies of the length of a held-out one.
    replies = training.prompts_per_step * training.group_size
    replies_per_step = replies * training.max_tokens / evaluation.max_tokens
    return Status(
        cell,
        state,
        trained,
        steps=(done, steps),
        evals=(scored, len(units)),
        training=pace("training", done, steps, replies_per_step),
        evaluation=pace(
            "evaluation", units_done(folder, experiment, heldout), sum(units.values()), 1
        ),
        has_checkpoint=any((folder / "training").glob("checkpoint-*")),
        reason=str(read_value(folder / FAILED, "reason") or "") if state == "failed" else "",
        shared_from=str(read_value(folder / "ledger.json", "shared_from") or ""),
        unmeasured=unmeasured if state == "done" else (),
    )


def _unmeasured(run: Path, cell: Cell) -> tuple[str, ...]:
    try:
        return tuple(unmeasured_evals(run, cell))
    except ColorfastError:  # damaged: the next run quarantines the table and scores again
        return ()


def statuses(run: Path, experiment: Experiment, cells: Sequence[Cell]) -> list[Status]:
    """The status of each cell, in the order of `cells`."""
    heldout = len(read_json(run / "run.json")["traits"])
    return [status(run, experiment, cell, heldout) for cell in cells]


def time_left(cells: Sequence[Status]) -> Left:
    """The time until the cells are done, with as many at once as are running now."""
    return estimate_left(
        training=[s.training for s in cells],
        evaluation=[s.evaluation for s in cells if s.cell != UNTRAINED],
        untrained=[s.evaluation for s in cells if s.cell == UNTRAINED],
        jobs=sum(s.state in BUSY for s in cells),
    )


def known_time(cells: Sequence[Status]) -> str:
    """The time left in words, once something was scored and SETTLED steps were trained; "" before
    that, and when nothing is left."""
    left = time_left(cells)
    unsettled = sum(s.steps[0] for s in cells) < SETTLED and any(s.training.left for s in cells)
    return "" if not left.seconds or left.least or unsettled else left.until(datetime.now())


def tally(cells: Sequence[Status], running: bool = False) -> str:
    """`3 of 24 cells done, 2 running, 1 failed; about 31 min left`. `running`: add the time at
    which the run will be done."""
    states = [s.state for s in cells if s.cell != UNTRAINED]
    parts = [f"{states.count('done')} of {len(states)} cells done"]
    busy = sum(state in BUSY for state in states)
    if busy:
        parts.append(f"{busy} running")
    if "failed" in states:
        parts.append(f"{states.count('failed')} failed")
    text = ", ".join(parts)
    if all(s.state in ("done", "failed") for s in cells):
        return text
    left = time_left(cells)
    return f"{text}; {left.until(datetime.now()) if running else left}"


def plain(cells: Sequence[Status]) -> dict[str, Any]:
    """The statuses as plain data, for `--json`."""
    left = time_left(cells)
    return {
        "seconds_left": left.seconds,
        "at_least": left.least,
        "cells": [s.plain() for s in cells],
    }


def status_table(cells: Sequence[Status], running: bool = False) -> Group:
    """A table with a row per arm and a column per seed; under it the untrained model, failures, and
    the time left. `running`: whether the run is going on."""
    trained = [s for s in cells if s.cell != UNTRAINED]
    seeds = list(dict.fromkeys(s.cell.seed for s in trained))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("arm", *(f"seed {seed}" for seed in seeds)):
        table.add_column(column, overflow="fold")
    texts = {s.cell: Text(s.words, style=STYLES[s.state]) for s in trained}
    for arm in dict.fromkeys(s.cell.arm for s in trained):
        row = [texts.get(Cell(arm, seed), Text("")) for seed in seeds]
        table.add_row(Text(arm), *row)
    notes = [Text(f"untrained model: {s.words}") for s in cells if s.cell == UNTRAINED]
    for s in cells:
        if s.state == "failed":
            notes.append(Text(f"{s.cell.title} failed: {s.reason}", style="red"))
    return Group(table, *notes, Text(tally(cells, running)))
