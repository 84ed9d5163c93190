"""Cells trained and scored, in this process or several at once in their own; one that fails takes
no other with it."""

from __future__ import annotations

import json
import signal
import subprocess
import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from colorfast.config import Experiment
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import EvalPlan, evaluate, stamps, work
from colorfast.evals.reach import without
from colorfast.io import subprocesses
from colorfast.io.console import console, live, progress
from colorfast.io.storage import folder_lock, read_json, write_json
from colorfast.models.resolve import resolve
from colorfast.runs import cell_cache
from colorfast.runs.layout import UNTRAINED, Cell, cells, is_complete, is_trained, is_whole
from colorfast.runs.status import (
    BUSY,
    FAILED,
    Status,
    answered,
    clock,
    drawn,
    known_time,
    statuses,
    steps_done,
    tally,
)
from colorfast.training.ledger import MATCHED
from colorfast.training.schedule import check_disjoint, heldout, schedule
from colorfast.types import ColorfastError


class CellsFailedError(ColorfastError):
    """Some cells of a sweep failed, and all others are done. `failed`: each with its reason in one
    line."""

    def __init__(self, run: Path, failed: Mapping[Cell, str]):
        self.run, self.failed = run, failed
        super().__init__(
            f"{run}: {len(failed)} cells failed: "
            + "; ".join(f"{cell.name} ({reason})" for cell, reason in failed.items())
        )


def check_matched(run: Path, experiment: Experiment, seed: int) -> None:
    """Raises ColorfastError when two trained arms of this seed did not use the same steps, prompts
    and completions."""
    trained = [c for c in cells(experiment, seeds=[seed]) if is_trained(run, c)]
    used = {c.arm: read_json(run / c.name / "ledger.json") for c in trained}
    for key in MATCHED:
        values = {arm: u["steps"] if key == "steps" else u["total"][key] for arm, u in used.items()}
        if len(set(values.values())) > 1:
            raise ColorfastError(f"{run}: the arms are not compute-matched, {key} differ: {values}")


def ids(missing: Mapping[str, str]) -> dict[str, str]:
    """Benchmarks by name or file, and what is said of each, by the id that their scores have."""
    return {benchmarks.get(name).id: why for name, why in missing.items()}


def train_and_score(
    run: Path, experiment: Experiment, cell: Cell, missing: Mapping[str, str]
) -> None:
    """One cell, as far as a twin of another experiment or an earlier start has not done it.
    `missing`: benchmarks that cannot be asked now, with the reasons; a later call without them asks
    these alone."""
    from colorfast.models.local import free_memory, load_policy
    from colorfast.models.precision import precision

    free_memory()  # what the cell before has left
    folder, held, evaluation = (
        run / cell.name,
        heldout(experiment),
        without(experiment.evaluation, missing),
    )
    model, unmeasured = resolve(experiment.model), ids(missing)
    if cell == UNTRAINED:
        evaluation, unmeasured = evaluation.model_copy(update={"benchmarks": ()}), {}
    else:
        _check_weights(run, cell)
        model = _train(run, experiment, cell, model)
        free_memory()
    if not is_complete(run, cell, unmeasured):
        policy = load_policy(str(model), evaluation.batch_size)
        policy = replace(policy, precision=precision(evaluation.precision))
        plan = EvalPlan(evaluation, held, experiment.system)
        cell_cache.take_scores(folder, stamps(policy, plan))
        units = partial(answered, folder, experiment, len(held))
        with (
            clock(folder, "evaluation", units),
            progress(f"evaluate {cell.name}", work(plan)) as advance,
        ):
            evaluate(policy, plan, folder, advance, unmeasured)


def _check_weights(run: Path, cell: Cell) -> None:
    """Raises ColorfastError for a scored cell without weights: evals that it lacks would want it
    trained again."""
    checkpoint = run / cell.name / "checkpoint"
    if is_whole(run, cell) and not checkpoint.is_dir():
        raise ColorfastError(
            f"{checkpoint}: gone, so that no more evals can be asked; delete {checkpoint.parent} to"
            " train it again"
        )


def _train(run: Path, experiment: Experiment, cell: Cell, model: Path) -> Path:
    from colorfast.training.engines import engine

    assert cell.arm is not None and cell.seed is not None
    folder, slots = run / cell.name, schedule(experiment, experiment.arms[cell.arm], cell.seed)
    check_disjoint([s.task for s in slots], heldout(experiment))
    cell_cache.take_weights(folder)
    with clock(folder, "training", partial(steps_done, folder)):
        trained = engine().train(str(model), slots, experiment.training, cell.seed, folder)
    check_matched(run, experiment, cell.seed)
    return trained


def attempt(run: Path, experiment: Experiment, cell: Cell, missing: Mapping[str, str]) -> str:
    """`train_and_score`; what stopped it in one line, which failed.json keeps, or "" when it is
    done."""
    folder = run / cell.name
    with folder_lock(folder, wait=True):
        (folder / FAILED).unlink(missing_ok=True)
        try:
            train_and_score(run, experiment, cell, missing)
        except Exception as error:
            text = (
                str(error)
                if isinstance(error, ColorfastError)
                else f"{type(error).__name__}: {error}"
            )
            return _failed(folder, text, traceback.format_exc())
    return ""


def _failed(folder: Path, reason: str, trace: str = "") -> str:
    reason = " ".join(reason.split())[:300]
    write_json(folder / FAILED, {"reason": reason, "trace": trace})
    return reason


def sweep(
    run: Path, experiment: Experiment, chosen: Sequence[Cell], jobs: int, missing: Mapping[str, str]
) -> dict[Cell, str]:
    """Do the untrained model, then the chosen cells, `jobs` at once, but for the benchmarks that
    are `missing`, each with its reason. Returns the cells that failed, each with its reason.

    Raises ColorfastError when the untrained model could not be scored: nothing is trained then, for
    no cell could be either.
    """
    shown = [UNTRAINED, *chosen]
    failed: dict[Cell, str] = {}

    def now() -> list[Status]:
        return statuses(run, experiment, shown)

    with live(lambda: drawn(now(), running=True), lambda: known_time(now())):
        for part in ([UNTRAINED], chosen):
            todo = [c for c in part if not is_complete(run, c, ids(missing))]
            one_by_one = jobs == 1
            doing = (
                _here(run, experiment, todo, missing)
                if one_by_one
                else _at_once(run, experiment, todo, jobs, missing)
            )
            with closing(doing) as ended:
                for cell, reason in ended:
                    if reason and cell == UNTRAINED:
                        raise ColorfastError(
                            "the untrained model cannot be scored, so nothing was trained:"
                            f" {reason}"
                        )
                    failed |= {cell: reason} if reason else {}
                    if not console.is_terminal:
                        said = f"failed: {reason}" if reason else "done"
                        console.print(
                            f"{cell.name} {said} ({tally(now(), running=True)})",
                            markup=False,
                            soft_wrap=True,
                        )
    return failed


def _here(
    run: Path, experiment: Experiment, todo: Sequence[Cell], missing: Mapping[str, str]
) -> Generator[tuple[Cell, str]]:
    for cell in todo:
        yield cell, attempt(run, experiment, cell, missing)


def _at_once(
    run: Path, experiment: Experiment, todo: Sequence[Cell], jobs: int, missing: Mapping[str, str]
) -> Generator[tuple[Cell, str]]:
    """Each cell as it ends. Whatever ends this, the processes end too."""
    seen: dict[Cell, str] = {}

    def begin(cell: Cell, room: subprocesses.Room) -> subprocess.Popen[bytes]:
        (run / cell.name / FAILED).unlink(missing_ok=True)
        left_out = ["--missing", json.dumps(missing)] if missing else []
        return subprocesses.start(["cell", str(run), cell.name, *left_out], run / cell.name, room)

    with closing(
        subprocesses.several(
            todo, begin, jobs, lambda cells: _say(statuses(run, experiment, cells), seen)
        )
    ) as ended:
        for cell, code in ended:
            yield cell, _outcome(run / cell.name, code)


def _say(found: Sequence[Status], seen: dict[Cell, str]) -> None:
    """On a plain pipe, a line when a cell begins to train or to be scored."""
    for s in found:
        if s.state in BUSY and seen.get(s.cell) != s.state and not console.is_terminal:
            console.print(f"{s.cell.name} {s.words}", markup=False)
        seen[s.cell] = s.state


def _outcome(folder: Path, code: int) -> str:
    """The reason that an ended process left, or that is left when it was killed; "" when it did its
    work."""
    if code == 0:
        return ""
    if (folder / FAILED).is_file():
        return str(read_json(folder / FAILED)["reason"])
    if code == -signal.SIGKILL:
        return _failed(folder, "killed by SIGKILL, as the system does when memory runs out")
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return _failed(folder, f"{how}; see {folder / subprocesses.LOG}")
