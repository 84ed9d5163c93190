"""The cells of a run: each arm under each seed, where its files lie, and which of them can be
compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from colorfast.config import Experiment
from colorfast.io.tables import read_unmeasured
from colorfast.io.validation import check_known

BASELINE = "baseline"
START = "start"
"""The folder of the untrained model's scores on the held-out scenarios."""


@dataclass(frozen=True)
class Cell:
    """One arm under one seed. The untrained model has neither."""

    arm: str | None = None
    seed: int | None = None

    @property
    def name(self) -> str:
        """Its folder in the run's."""
        return START if self.arm is None else f"{self.arm}-s{self.seed}"


UNTRAINED = Cell()


def cells(
    experiment: Experiment, arms: Collection[str] = (), seeds: Collection[int] = ()
) -> list[Cell]:
    """The cells of these arms and seeds (all when left out), seed by seed and the baseline first of
    each: it is what the others are compared with, and always among them. Raises ColorfastError for
    an arm or seed that the experiment does not have."""
    check_known("arm", arms, experiment.arms)
    check_known("seed", [str(s) for s in seeds], [str(s) for s in experiment.seeds])
    wanted = [BASELINE, *(a for a in experiment.arms if a != BASELINE and (not arms or a in arms))]
    return [
        Cell(arm, seed) for seed in experiment.seeds if not seeds or seed in seeds for arm in wanted
    ]


def is_trained(run: Path, cell: Cell) -> bool:
    """The ledger is the last file that training writes."""
    return (run / cell.name / "ledger.json").is_file()


def is_whole(run: Path, cell: Cell) -> bool:
    """Trained and scored to the end, on all that could be asked."""
    return (run / cell.name / "scores.parquet").is_file() and (
        cell == UNTRAINED or is_trained(run, cell)
    )


def lacks(run: Path, cell: Cell) -> dict[str, str]:
    """The evals of a whole cell that could not be asked, with the reasons. Raises DamagedError for
    a table that cannot be read."""
    return read_unmeasured(run / cell.name / "scores.parquet") if is_whole(run, cell) else {}


def is_complete(run: Path, cell: Cell, unreachable: Collection[str] = ()) -> bool:
    """Whole, with every eval that can be asked now. `unreachable`: the ids of those that cannot."""
    return is_whole(run, cell) and set(lacks(run, cell)) <= set(unreachable)


def block(whole: Collection[Cell], experiment: Experiment) -> tuple[Sequence[str], Sequence[int]]:
    """(arms, seeds) of the largest block without a gap, the baseline in it: arms that are compared
    must share their seeds.

    Largest by its cells beside the baseline's, then by arms. Both empty when no cell of the
    baseline is whole.
    """
    has = {
        arm: frozenset(seed for seed in experiment.seeds if Cell(arm, seed) in whole)
        for arm in experiment.arms
    }
    tried = {has[BASELINE]}
    for (
        seeds
    ) in has.values():  # the seeds of a largest block are what some of the arms have in common
        tried |= {one & seeds for one in tried}
    blocks = [
        ([arm for arm in has if has[arm] >= seeds], sorted(seeds, key=experiment.seeds.index))
        for seeds in tried
        if seeds
    ]
    return max(
        blocks, key=lambda b: ((len(b[0]) - 1) * len(b[1]), len(b[0]), b[1]), default=([], [])
    )
