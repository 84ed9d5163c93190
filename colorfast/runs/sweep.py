"""Train and score cells, in this process or several at once in processes of their own. A failed
cell does not stop the others."""

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
from colorfast.io.console import console, live, note, progress
from colorfast.io.storage import folder_lock, read_json, write_json
from colorfast.models.resolve import resolve
from colorfast.runs import cell_cache
from colorfast.runs.layout import (
    UNTRAINED,
    Cell,
    cells,
    is_complete,
    is_trained,
    is_whole,
    read_value,
)
from colorfast.runs.status import (
    BUSY,
    FAILED,
    Status,
    known_time,
    status_table,
    statuses,
    steps_done,
    tally,
    units_done,
)
from colorfast.runs.timing import timed
from colorfast.training.ledger import MATCHED
from colorfast.training.schedule import check_disjoint, heldout, schedule
from colorfast.types import ColorfastError


class CellsFailedError(ColorfastError):
    """Some cells of a sweep failed, and all others are done. `failed`: each with its reason in one
    line."""

    def __init__(self, run: Path, failed: Mapping[Cell, str]):
        self.run, self.failed = run, failed
        reasons = "; ".join(f"{cell.name} ({reason})" for cell, reason in failed.items())
        super().__init__(f"{run}: {len(failed)} cells failed: {reasons}")


def check_matched(run: Path, experiment: Experiment, seed: int) -> None:
    """Raises ColorfastError if two trained arms of this seed did not use the same steps, prompts
    and completions."""
    totals = {}
    for cell in cells(experiment, seeds=[seed]):
        if is_trained(run, cell):
            ledger = read_json(run / cell.name / "ledger.json")
            totals[cell.arm] = {**ledger["total"], "steps": ledger["steps"]}
    for key in MATCHED:
        values = {arm: total[key] for arm, total in totals.items()}
        if len(set(values.values())) > 1:
            raise ColorfastError(f"{run}: the arms are not compute-matched, {key} differ: {values}")


def benchmark_ids(missing: Mapping[str, str]) -> dict[str, str]:
    """Benchmarks given by name or file, by their ids in score tables. Values stay."""
    return {benchmarks.get(name).id: reason for name, reason in missing.items()}


def train_and_score(
    run: Path, experiment: Experiment, cell: Cell, missing: Mapping[str, str]
) -> None:
    """Do what is left of one cell: parts that an earlier start or a matching cell did are kept.
    `missing`: benchmarks that cannot be run now, with the reasons; a later call without them runs
    only these."""
    from colorfast.models.local import free_memory, load_policy
    from colorfast.models.precision import precision

    free_memory()  # the memory of the cell before
    folder, model = run / cell.name, resolve(experiment.model)
    evaluation, unmeasured = without(experiment.evaluation, missing), benchmark_ids(missing)
    if cell == UNTRAINED:
        evaluation, unmeasured = evaluation.model_copy(update={"benchmarks": ()}), {}
    else:
        model = _train(run, experiment, cell, model)
        free_memory()
    if is_complete(run, cell, unmeasured):
        return
    policy = load_policy(str(model), evaluation.batch_size)
    policy = replace(policy, precision=precision(evaluation.precision))
    plan = EvalPlan(evaluation, heldout(experiment), experiment.system)
    cell_cache.reuse_scores(folder, stamps(policy, plan))
    units = partial(units_done, folder, experiment, len(plan.scenarios))
    with (
        timed(folder, "evaluation", units),
        progress(f"scoring {cell.title}", work(plan)) as advance,
    ):
        evaluate(policy, plan, folder, advance, unmeasured)


def _train(run: Path, experiment: Experiment, cell: Cell, model: Path) -> Path:
    from colorfast.training.engines import engine

    folder, slots = run / cell.name, schedule(experiment, experiment.arms[cell.arm], cell.seed)
    if is_whole(run, cell) and not (folder / "checkpoint").is_dir():
        raise ColorfastError(
            f"{folder / 'checkpoint'}: gone, so that no more evals can be run; delete {folder} to"
            " train it again"
        )
    check_disjoint([s.task for s in slots], heldout(experiment))
    cell_cache.reuse_weights(folder)
    with timed(folder, "training", partial(steps_done, folder)):
        trained = engine().train(str(model), slots, experiment.training, cell.seed, folder)
    check_matched(run, experiment, cell.seed)
    return trained


def run_cell(run: Path, experiment: Experiment, cell: Cell, missing: Mapping[str, str]) -> str:
    """`train_and_score`. Returns "" or the reason of a failure in one line, which failed.json keeps
    too."""
    folder = run / cell.name
    with folder_lock(folder, wait=True):
        (folder / FAILED).unlink(missing_ok=True)
        try:
            train_and_score(run, experiment, cell, missing)
        except Exception as error:  # other cells go on, whatever happened here
            name = "" if isinstance(error, ColorfastError) else f"{type(error).__name__}: "
            return _failure(folder, f"{name}{error}", traceback.format_exc())
    return ""


def _failure(folder: Path, reason: str, trace: str = "") -> str:
    reason = " ".join(reason.split())[:300]
    write_json(folder / FAILED, {"reason": reason, "trace": trace})
    return reason


def sweep(
    run: Path, experiment: Experiment, chosen: Sequence[Cell], jobs: int, missing: Mapping[str, str]
) -> dict[Cell, str]:
    """Score the untrained model, then do the chosen cells, `jobs` at once. `missing`: benchmarks
    that are left out, each with its reason. Returns the cells that failed, each with its reason.

    Raises ColorfastError if the untrained model cannot be scored: no cell could be then.
    """
    failed: dict[Cell, str] = {}

    def now() -> list[Status]:
        return statuses(run, experiment, [UNTRAINED, *chosen])

    with live(lambda: status_table(now(), running=True), lambda: known_time(now())):
        for part in ([UNTRAINED], chosen):
            todo = [c for c in part if not is_complete(run, c, benchmark_ids(missing))]
            if jobs > 1:
                results = _in_processes(run, experiment, todo, missing, jobs)
            else:
                results = ((cell, run_cell(run, experiment, cell, missing)) for cell in todo)
            with closing(results):
                for cell, reason in results:
                    if reason and cell == UNTRAINED:
                        raise ColorfastError(
                            "the untrained model cannot be scored, so nothing was trained:"
                            f" {reason}"
                        )
                    if reason:
                        failed[cell] = reason
                    result = f"failed: {reason}" if reason else "done"
                    _print(f"{cell.title} {result} ({tally(now(), running=True)})")
    return failed


def _print(line: str) -> None:
    """Print a line where no live table shows the same."""
    if not console.is_terminal:
        note(line)


def _in_processes(
    run: Path, experiment: Experiment, todo: Sequence[Cell], missing: Mapping[str, str], jobs: int
) -> Generator[tuple[Cell, str]]:
    """Each cell as it ends. When the generator is closed, the processes end too."""
    states: dict[Cell, str] = {}

    def begin(cell: Cell, room: subprocesses.Room) -> subprocess.Popen[bytes]:
        (run / cell.name / FAILED).unlink(missing_ok=True)
        arguments = ["cell", "--missing", json.dumps(missing), str(run), cell.name]
        return subprocesses.start(arguments, run / cell.name, room)

    def report(running: Sequence[Cell]) -> None:
        """Print a line when a cell begins to train or to be scored."""
        for s in statuses(run, experiment, running):
            if s.state in BUSY and states.get(s.cell) != s.state:
                _print(f"{s.cell.title} {s.words}")
            states[s.cell] = s.state

    with closing(subprocesses.several(todo, begin, jobs, report)) as ended:
        for cell, code in ended:
            yield cell, _outcome(run / cell.name, code)


def _outcome(folder: Path, code: int) -> str:
    """ "" if the process succeeded, else the reason that it left, or that its exit code tells."""
    if code == 0:
        return ""
    reason = read_value(folder / FAILED, "reason")
    if reason:
        return str(reason)
    if code == -signal.SIGKILL:
        return _failure(folder, "killed by SIGKILL, as the system does when memory runs out")
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return _failure(folder, f"{how}; see {folder / subprocesses.LOG}")
