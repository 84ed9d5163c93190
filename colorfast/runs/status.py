"""How far a run is, told from its files alone: the state of every cell, what failed and why, and
the time that is left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from rich.console import Group
from rich.table import Table
from rich.text import Text

from colorfast.config import Experiment
from colorfast.evals.evaluate import HELDOUT, second_id
from colorfast.io.storage import in_use, read_json, write_json
from colorfast.runs.layout import UNTRAINED, Cell, is_trained, is_whole, lacks
from colorfast.types import ColorfastError, Frozen

FAILED, CLOCK = "failed.json", "time.json"
State = Literal["waiting", "training", "evaluating", "stopped", "failed", "done"]
Phase = Literal["training", "evaluation"]
SETTLED = 2
"""Steps after which a pace is worth telling."""
BUSY = ("training", "evaluating")
STYLES = {
    "waiting": "dim",
    "training": "bold",
    "evaluating": "bold",
    "stopped": "yellow",
    "failed": "red",
    "done": "green",
}


class Spent(Frozen):
    """What a phase of a cell took so far."""

    seconds: float = 0
    units: float = 0


class Now(Frozen):
    """A phase that goes on, since when and from how many units."""

    phase: Phase
    since: float
    first: float


class Clock(Frozen):
    """A cell's time.json."""

    training: Spent = Spent()
    evaluation: Spent = Spent()
    now: Now | None = None


@dataclass(frozen=True)
class Pace:
    """The seconds that some units of a phase took, and the units that are left. A unit of training
    is a step; of evaluation a reply or choice, about: evals are counted when they are finished."""

    seconds: float
    units: float
    left: float


@dataclass(frozen=True)
class Status:
    """`steps` and `evals`: done and in all. `shared_from`: the cell that was trained in this one's
    stead. `unmeasured`: the evals of a cell that is done which could not be asked."""

    cell: Cell
    state: State
    trained: bool
    steps: tuple[int, int]
    evals: tuple[int, int]
    training: Pace
    evaluation: Pace
    reason: str = ""
    shared_from: str = ""
    unmeasured: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        if self.state in ("waiting", "failed", "done"):
            notes = ["shared"] if self.state == "done" and self.shared_from else []
            notes += [f"{len(self.unmeasured)} evals not measured"] if self.unmeasured else []
            return f"{self.state} ({', '.join(notes)})" if notes else self.state
        doing = "stopped at" if self.state == "stopped" else self.state
        return (
            f"{doing} eval {self.evals[0]} of {self.evals[1]}"
            if self.trained
            else f"{doing} step {self.steps[0]} of {self.steps[1]}"
        )

    def plain(self) -> dict[str, Any]:
        """For a program to read."""
        steps, evals = ({"done": n, "of": of} for n, of in (self.steps, self.evals))
        where = {
            "cell": self.cell.name,
            "arm": self.cell.arm,
            "seed": self.cell.seed,
            "state": self.state,
        }
        notes = {
            "reason": self.reason,
            "shared_from": self.shared_from,
            "unmeasured": list(self.unmeasured),
        }
        return where | {"steps": steps, "evals": evals, **notes}


@dataclass(frozen=True)
class Left:
    """`seconds` until every cell that did not fail is done, at the pace so far; None before
    anything is known. `least`: nothing was trained yet, or nothing scored, and so it is not in the
    sum."""

    seconds: float | None
    least: bool = False

    def __str__(self) -> str:
        if self.seconds is None:
            return "time left not known yet"
        hours, minutes = divmod(math.ceil(self.seconds / 60), 60)
        return (
            f"{'at least' if self.least else 'about'} {f'{hours} h ' * bool(hours)}{minutes} min"
            " left"
        )

    def until(self, now: datetime) -> str:
        """The same with the hour at which a run that goes on will be done, and the day where that
        is not today's."""
        if self.seconds is None or self.least:
            return str(self)
        end = now + timedelta(seconds=self.seconds)
        day = "" if end.date() == now.date() else end.strftime(" on %B ") + str(end.day)
        return f"{self}, done at about {end:%H:%M}{day}"


def steps_done(cell: Path) -> int:
    """A row of metrics is written after each step."""
    path = cell / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _weights(experiment: Experiment, cell: Cell, held: int) -> list[int]:
    """Replies and choices that each eval asks for, the held-out scenarios first."""
    evaluation = experiment.evaluation
    others = 0 if cell == UNTRAINED else len(evaluation.benchmarks)
    # a second grader reads replies that are there: it takes next to no time
    graded_again = [0] * (second_id(evaluation) is not None)
    return [held * evaluation.samples, *graded_again, *[evaluation.items] * others]


def answered(cell: Path, experiment: Experiment, held: int) -> int:
    """Replies and choices of the finished evals. `held`: how many scenarios are held out."""
    evaluation = experiment.evaluation
    names = [path.stem for path in (cell / "scores").glob("*.parquet")]
    units = {HELDOUT: held * evaluation.samples, second_id(evaluation): 0}
    return sum(units.get(name, evaluation.items) for name in names)


@contextmanager
def clock(cell: Path, phase: Phase, units: Callable[[], int]) -> Iterator[None]:
    """Note in the cell's time.json what this takes. Broken off by an error or a kill, neither its
    time nor its units are counted."""
    clock, now = _clock(cell), Now(phase=phase, since=time.time(), first=units())
    write_json(cell / CLOCK, clock.model_copy(update={"now": now}).model_dump())
    yield
    before: Spent = getattr(clock, phase)
    taken = Spent(
        seconds=before.seconds + time.time() - now.since, units=before.units + units() - now.first
    )
    write_json(cell / CLOCK, clock.model_copy(update={"now": None, phase: taken}).model_dump())


def _clock(cell: Path) -> Clock:
    try:
        return Clock.model_validate(_known(cell / CLOCK))
    except ValidationError:  # damaged: time is counted anew
        return Clock()


def _known(path: Path) -> dict[str, Any]:
    """What a file of this module says; nothing, when a run that goes on has just removed it."""
    try:
        return read_json(path)
    except ColorfastError:
        return {}


def _pace(cell: Path, phase: Phase, done: int, of: int, running: bool) -> Pace:
    clock = _clock(cell)
    taken: Spent = getattr(clock, phase)
    counts = running and clock.now and clock.now.phase == phase and done > clock.now.first
    seconds, units = (
        (time.time() - clock.now.since, done - clock.now.first) if clock.now and counts else (0, 0)
    )
    return Pace(taken.seconds + seconds, taken.units + units, max(0, of - done))


def status(run: Path, experiment: Experiment, cell: Cell, held: int) -> Status:
    """One cell's. `held`: how many scenarios are held out."""
    folder, steps, weights = (
        run / cell.name,
        0 if cell == UNTRAINED else experiment.training.steps,
        _weights(experiment, cell, held),
    )
    done, scored = min(steps_done(folder), steps), len(list((folder / "scores").glob("*.parquet")))
    trained, running = cell == UNTRAINED or is_trained(run, cell), in_use(folder)
    left_out = _left_out(run, cell)
    filling_in = running and bool(left_out)
    whole = is_whole(run, cell) and not filling_in
    state = "done" if whole else _unfinished(folder, running, trained, begun=done + scored > 0)
    return Status(
        cell,
        state,
        trained,
        steps=(done, steps),
        evals=(scored, len(weights)),
        training=_pace(folder, "training", done, steps, running),
        evaluation=_pace(
            folder, "evaluation", answered(folder, experiment, held), sum(weights), running
        ),
        reason=str(_known(folder / FAILED).get("reason", "")) if state == "failed" else "",
        shared_from=str(_known(folder / "ledger.json").get("shared_from", "")),
        unmeasured=left_out if state == "done" else (),
    )


def _left_out(run: Path, cell: Cell) -> tuple[str, ...]:
    try:
        return tuple(lacks(run, cell))
    except ColorfastError:  # damaged: the next run sets it aside and scores again
        return ()


def _unfinished(folder: Path, running: bool, trained: bool, begun: bool) -> State:
    if running:
        return "evaluating" if trained else "training"
    return "failed" if (folder / FAILED).is_file() else "stopped" if begun else "waiting"


def statuses(run: Path, experiment: Experiment, cells: Sequence[Cell]) -> list[Status]:
    """Every cell's, in their order."""
    held = len(read_json(run / "run.json")["traits"])
    return [status(run, experiment, cell, held) for cell in cells]


def time_left(found: Sequence[Status]) -> Left:
    """At the mean pace of all cells, as many at once as run now."""
    waits = [s for s in found if s.state not in ("done", "failed")]
    seconds, known = 0.0, []
    for of in (
        [(s.training, s in waits) for s in found],
        [(s.evaluation, s in waits) for s in found],
    ):
        taken, units = sum(p.seconds for p, _ in of), sum(p.units for p, _ in of)
        left = sum(p.left for p, waiting in of if waiting)
        known.append(bool(units) or not left)
        seconds += taken / units * left if units else 0
    running = sum(s.state in BUSY for s in found)
    return Left(seconds / max(1, running) if any(known) else None, least=not all(known))


def known_time(found: Sequence[Status]) -> str:
    """The time left in words once it can be known: something was scored, and SETTLED steps were
    trained, the first of which pays for what is set up once. "" before that, and when nothing is
    left."""
    left, steps = time_left(found), sum(s.training.units for s in found)
    rough = steps < SETTLED and any(s.training.left for s in found)
    return left.until(datetime.now()) if left.seconds and not left.least and not rough else ""


def tally(found: Sequence[Status], running: bool = False) -> str:
    """`3 of 24 cells done, 2 running, 1 failed; about 31 min left`; of a run that goes on also when
    it will be done."""
    of = [s for s in found if s.cell != UNTRAINED]
    busy = sum(s.state in BUSY for s in of)
    failed, done = (sum(s.state == state for s in of) for state in ("failed", "done"))
    parts = [
        f"{done} of {len(of)} cells done",
        f"{busy} running" * bool(busy),
        f"{failed} failed" * bool(failed),
    ]
    unfinished = any(s.state not in ("done", "failed") for s in found)
    left = time_left(found)
    words = left.until(datetime.now()) if running else str(left)
    return ", ".join(part for part in parts if part) + (f"; {words}" if unfinished else "")


def plain(found: Sequence[Status]) -> dict[str, Any]:
    """For a program to read."""
    left = time_left(found)
    return {
        "seconds_left": left.seconds,
        "at_least": left.least,
        "cells": [s.plain() for s in found],
    }


def drawn(found: Sequence[Status], running: bool = False) -> Group:
    """A table with a row an arm and a column a seed; under it the untrained model, what failed, and
    the time left. `running`: whether somebody works on it at the moment."""
    by_cell = {s.cell: s for s in found}
    seeds = list(dict.fromkeys(s.cell.seed for s in found if s.cell != UNTRAINED))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("arm", *(f"seed {seed}" for seed in seeds)):
        table.add_column(column, overflow="fold")
    for arm in dict.fromkeys(s.cell.arm for s in found if s.cell != UNTRAINED):
        row = [by_cell.get(Cell(arm, seed)) for seed in seeds]
        table.add_row(
            Text(arm or ""), *(Text(s.words, style=STYLES[s.state]) if s else Text("") for s in row)
        )
    untrained = [Text(f"untrained model: {s.words}") for s in found if s.cell == UNTRAINED]
    failed = [
        Text(f"{s.cell.name} failed: {s.reason}", style="red") for s in found if s.state == "failed"
    ]
    return Group(table, *untrained, *failed, Text(tally(found, running)))
