"""The cells of a run: each arm under each seed, their folders, and how far each one is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorfast.config import Experiment
from colorfast.io.storage import read_json
from colorfast.io.tables import read_unmeasured
from colorfast.io.validation import check_known
from colorfast.types import ColorfastError

BASELINE = "baseline"
START = "start"
"""The folder of the untrained model's scores on the held-out scenarios."""


@dataclass(frozen=True)
class Cell:
    """One arm under one seed. The untrained model has an arm without a name."""

    arm: str
    seed: int

    @property
    def name(self) -> str:
        """The name of the cell's folder in the run folder."""
        return f"{self.arm}-s{self.seed}" if self.arm else START

    @property
    def title(self) -> str:
        """The name of the cell in printed text."""
        return self.name if self.arm else "untrained model"


UNTRAINED = Cell("", 0)


def cells(
    experiment: Experiment, arms: Collection[str] = (), seeds: Collection[int] = ()
) -> list[Cell]:
    """The cells of these arms and seeds (by default all), seed by seed. The baseline comes first
    under each seed and is always included, because the other arms are compared with it. Raises
    ColorfastError for an arm or seed that the experiment does not have."""
    check_known("arm", arms, experiment.arms)
    check_known("seed", [str(s) for s in seeds], [str(s) for s in experiment.seeds])
    others = [arm for arm in experiment.arms if arm != BASELINE and (not arms or arm in arms)]
    chosen = []
    for seed in experiment.seeds:
        if not seeds or seed in seeds:
            chosen += [Cell(arm, seed) for arm in (BASELINE, *others)]
    return chosen


def read_value(file: Path, key: str) -> Any:
    """One value of a cell's JSON file; None if the file or the key is missing. A running process
    may just have removed the file."""
    try:
        return read_json(file).get(key)
    except ColorfastError:
        return None


def is_trained(run: Path, cell: Cell) -> bool:
    """The ledger is the last file that training writes."""
    return (run / cell.name / "ledger.json").is_file()


def is_whole(run: Path, cell: Cell) -> bool:
    """Trained and scored, at least on all evals that could be run then."""
    scored = (run / cell.name / "scores.parquet").is_file()
    return scored and (cell == UNTRAINED or is_trained(run, cell))


def unmeasured_evals(run: Path, cell: Cell) -> dict[str, str]:
    """The evals of a whole cell that could not be run, with the reasons. Raises DamagedError for an
    unreadable table."""
    return read_unmeasured(run / cell.name / "scores.parquet") if is_whole(run, cell) else {}


def is_complete(run: Path, cell: Cell, unreachable: Collection[str] = ()) -> bool:
    """Whole, with every eval that can be run now. `unreachable`: the ids of those that cannot."""
    return is_whole(run, cell) and unmeasured_evals(run, cell).keys() <= set(unreachable)


def largest_block(
    whole: Collection[Cell], experiment: Experiment
) -> tuple[Sequence[str], Sequence[int]]:
    """(arms, seeds) of the largest block without a gap that includes the baseline: arms that are
    compared must share their seeds.

    The largest block has the most cells beside the baseline's, then the most arms. Both are empty
    when no cell of the baseline is whole.
    """
    seeds_of: dict[str, frozenset[int]] = {}
    for arm in experiment.arms:
        seeds_of[arm] = frozenset(seed for seed in experiment.seeds if Cell(arm, seed) in whole)
    # The seeds of the largest block are those that some of the arms have in common.
    candidates = {seeds_of[BASELINE]}
    for seeds in seeds_of.values():
        candidates |= {seeds & other for other in candidates}
    blocks = []
    for seeds in candidates - {frozenset[int]()}:
        arms = [arm for arm in seeds_of if seeds_of[arm] >= seeds]
        in_order = sorted(seeds, key=experiment.seeds.index)
        blocks.append(((len(arms) - 1) * len(seeds), len(arms), in_order, arms))
    *_, seeds_in_order, arms = max(blocks, default=([], []))
    return arms, seeds_in_order
