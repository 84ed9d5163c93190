"""The time that a run takes: the clock in each cell's folder, and the time left at the rates that
were measured so far."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from colorfast.config import Evaluation
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT, second_id
from colorfast.evals.scoring import reply_cap
from colorfast.io.storage import read_json, write_json
from colorfast.types import ColorfastError, Frozen

CLOCK = "time.json"
CHOICE = 0.4
"""Work of a choice item, in held-out replies: its prompt is read and nothing is sampled. Measured
with SmolLM2-135M on a CPU: 0.2 to 0.7."""
Phase = Literal["training", "evaluation"]


class Spent(Frozen):
    """Time that a phase of a cell took, and the units of work that it did."""

    seconds: float = 0
    units: float = 0


class Current(Frozen):
    """A phase that is going on: its start, and the units that were done before."""

    phase: Phase
    since: float
    first: float


class Clock(Frozen):
    """The content of a cell's time.json. A unit of training is a step; a unit of evaluation is the
    work of one held-out reply (see `eval_units`)."""

    training: Spent = Spent()
    evaluation: Spent = Spent()
    now: Current | None = None

    def spent(self, phase: Phase, done: float, running: bool) -> Spent:
        """Time and work of a phase, with those since its start if it is going on. `done`: units
        that are finished now."""
        before: Spent = getattr(self, phase)
        if self.now is None or not running or self.now.phase != phase or done <= self.now.first:
            return before
        return Spent(
            seconds=before.seconds + time.time() - self.now.since,
            units=before.units + done - self.now.first,
        )


def read_clock(cell: Path) -> Clock:
    """A cell's clock. A missing or damaged one starts at zero."""
    try:
        return Clock.model_validate(read_json(cell / CLOCK))
    except (ColorfastError, ValidationError):
        return Clock()


@contextmanager
def timed(cell: Path, phase: Phase, units: Callable[[], float]) -> Iterator[None]:
    """Write the time of a phase into the cell's time.json. `units`: returns the units that are
    done. An error or a kill discards both the time and the units."""
    clock = read_clock(cell)
    started = clock.model_copy(
        update={"now": Current(phase=phase, since=time.time(), first=units())}
    )
    write_json(cell / CLOCK, started.model_dump())
    yield
    spent = started.spent(phase, units(), running=True)
    write_json(cell / CLOCK, clock.model_copy(update={"now": None, phase: spent}).model_dump())


@cache
def eval_units(evaluation: Evaluation, heldout: int) -> Mapping[str, float]:
    """The work of each eval, in replies to held-out scenarios: a benchmark's reply counts by its
    length cap, a choice item `CHOICE`. `heldout`: the number of held-out scenarios."""
    units = {HELDOUT: float(heldout * evaluation.samples)}
    second = second_id(evaluation)
    if second:
        units[second] = 0  # grades replies that exist already
    for name in evaluation.benchmarks:
        units[name] = evaluation.items
        benchmark = benchmarks.shipped().get(name)  # not a user's file: status runs no such code
        if benchmark:
            share = reply_cap(benchmark, evaluation) / evaluation.max_tokens
            units[name] *= CHOICE if benchmark.kind == "choice" else share
    return units


@dataclass(frozen=True)
class Pace:
    """The measured time of one phase of a cell, and the work that is left, both in units of one
    held-out reply. For training a unit is a reply that is sampled and trained on."""

    seconds: float
    units: float
    left: float


@dataclass(frozen=True)
class Left:
    """`seconds` until all cells that did not fail are done; None before anything is measured.
    `least`: training or evaluation is not measured yet, so that the sum lacks it."""

    seconds: float | None
    least: bool = False

    def __str__(self) -> str:
        if self.seconds is None:
            return "time left not known yet"
        hours, minutes = divmod(math.ceil(self.seconds / 60), 60)
        length = f"{hours} h {minutes} min" if hours else f"{minutes} min"
        return f"{'at least' if self.least else 'about'} {length} left"

    def until(self, now: datetime) -> str:
        """The same with the time at which a running run will be done, and the day if it is not
        today."""
        if self.seconds is None or self.least:
            return str(self)
        end = now + timedelta(seconds=self.seconds)
        day = "" if end.date() == now.date() else end.strftime(" on %B ") + str(end.day)
        return f"{self}, done at about {end:%H:%M}{day}"


def _rate(paces: Sequence[Pace]) -> float | None:
    """Median seconds per unit over cells, so that one disturbed cell does not move it."""
    rates = [pace.seconds / pace.units for pace in paces if pace.units]
    return statistics.median(rates) if rates else None


def estimate_left(
    training: Sequence[Pace], evaluation: Sequence[Pace], untrained: Sequence[Pace], jobs: int
) -> Left:
    """The time left with `jobs` cells at once. `evaluation`: of trained cells; `untrained`: of the
    untrained model, which was scored first.

    Until a trained cell is scored, the untrained model gives the rate of evaluation. It is a single
    measurement that also loads the model, and other work may have slowed it down. The rate of
    training bounds it: a training step samples replies too, and then trains on them.
    """
    training_rate, evaluation_rate = _rate(training), _rate(evaluation)
    if evaluation_rate is None:
        evaluation_rate = _rate(untrained)
        if evaluation_rate and training_rate:
            evaluation_rate = min(evaluation_rate, training_rate)
    training_left = sum(pace.left for pace in training)
    evaluation_left = sum(pace.left for pace in (*evaluation, *untrained))
    work = [(training_rate, training_left), (evaluation_rate, evaluation_left)]
    measured = [rate is not None or not left for rate, left in work]
    if not any(measured):
        return Left(None)
    seconds = sum(rate * left for rate, left in work if rate)
    return Left(seconds / max(1, jobs), least=not all(measured))
