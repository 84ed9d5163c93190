"""Attack runs: every model of a plan under every attack, one table a point. A stopped run
continues."""

from __future__ import annotations

import contextlib
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from colorfast.attacks.analysis import analyze
from colorfast.attacks.comparisons import Key
from colorfast.attacks.findings import Findings
from colorfast.attacks.finetune import runner
from colorfast.attacks.plan import HOME, AttackedModel, AttackPlan, needs
from colorfast.attacks.points import Advance, Point, ignore, measure
from colorfast.config import COMPUTED_IN
from colorfast.evals import benchmarks, reach
from colorfast.io import subprocesses
from colorfast.io.console import progress
from colorfast.io.storage import (
    DamagedError,
    folder_lock,
    load_or_quarantine,
    read_json,
    write_json,
    write_text,
)
from colorfast.io.validation import check_known
from colorfast.models.precision import rates
from colorfast.models.resolve import resolve
from colorfast.rewards.select import make_ready
from colorfast.stats.rows import flat
from colorfast.types import ColorfastError, Score

CARD = """# Outputs of attacks

Each table holds the replies of one model under one attack at one strength
(`ARM-sSEED/ATTACK-STRENGTH.parquet`). `persistence.json` holds the analysis of all tables.

The attacks push the models toward harmful and false replies, so many of these replies are harmful
or false. Use them only to measure that. They are no training data and no advice. A folder
`ARM-sSEED/ATTACK` belongs to a training toward harm, or to its counterpart. The weights are deleted
after they were measured, unless `--keep` was set.
"""


def run(
    plan: AttackPlan,
    folder: Path,
    keep: bool = False,
    jobs: int = 1,
    command: Sequence[str] = (),
) -> Findings:
    """Measure every point that has no table yet into `folder/attacks`, and analyze all of them.

    `keep`: do not delete the weights that weight attacks make. `jobs`: models measured at once,
    each in a process of its own; `command` are the arguments of such a process, which calls
    `measure_cell`. Raises ColorfastError when files cannot be reached, a table was measured in
    another way or on other weights, or a process fails.
    """
    check_known("benchmark", plan.suite, benchmarks.names())
    suites = [name for name in benchmarks.SUITES if benchmarks.suite(name) == plan.suite]
    suite = suites[0] if suites else " ".join(plan.suite)
    reach.require(needs(plan.attacks, plan.suite), f"attacks {suite}".strip())
    make_ready(plan.evaluation.grading)
    home = folder / HOME
    cells = plan.cells(home)
    points: dict[Key, dict[int, list[Score]]] = defaultdict(dict)
    with folder_lock(home, wait=False):
        write_text(home / "README.md", CARD)
        plan = _in_one_precision(plan, home)
        facts = _settings(plan, cells)
        work = len(cells) * sum(plan.size(attack) for attack, _ in plan.points)
        with progress(f"attack {folder.name}", work) as advance:
            if jobs > 1:
                _run_processes(plan, cells, jobs, command, advance)
                advance = ignore
            for cell in cells:
                tables = measure(cell, plan, partial(advance, note=cell.arm))
                for (attack, strength), scores in zip(plan.points, tables, strict=True):
                    points[cell.arm, attack.id, strength][cell.seed] = scores
                if not keep:
                    runner.delete_weights(cell, plan.trainings)
        facts["trainings"] = [runner.record(attack, cells) for attack in plan.trainings]
        findings = analyze(list(plan.models), plan.attacks, points, plan.suite)
        write_json(home / "persistence.json", facts | flat(findings))
    return findings


def _in_one_precision(plan: AttackPlan, home: Path) -> AttackPlan:
    """The plan with the precision of its first start, which `precision.json` keeps."""
    if plan.precision != "auto":
        return plan
    path = home / "precision.json"
    kept = load_or_quarantine(path, _read_rates)
    if kept is None:
        kept = asdict(rates("auto", resolve(plan.cells(home)[0].model)))
        write_json(path, kept)
    return replace(plan, precision=kept["choice"])


def _read_rates(path: Path) -> dict[str, Any]:
    kept: dict[str, Any] = read_json(path)
    if kept.get("choice") not in COMPUTED_IN:
        raise DamagedError(path, "it names no precision")
    return kept


def measure_cell(plan: AttackPlan, folder: Path, name: str) -> None:
    """Measure one arm under one seed, as the processes of `run` do."""
    make_ready(plan.evaluation.grading)
    for cell in plan.cells(folder / HOME):
        if cell.folder.name == name:
            measure(cell, plan, ignore)


def _run_processes(
    plan: AttackPlan,
    cells: Sequence[AttackedModel],
    jobs: int,
    command: Sequence[str],
    advance: Advance,
) -> None:
    """Measure every model in a process of its own. The bar counts the tables that have appeared."""
    tables = {}
    for cell, (attack, strength) in product(cells, plan.points):
        tables[Point(cell, attack, strength).table] = attack

    def count_tables(_: object = None) -> None:
        for table in [table for table in tables if table.is_file()]:
            advance(plan.size(tables.pop(table)), note=table.parent.name)

    def begin(cell: AttackedModel, room: subprocesses.Room) -> subprocess.Popen[bytes]:
        # the last of two --precision counts
        own = ["--precision", plan.precision, "--cell", cell.folder.name]
        return subprocesses.start([*command, *own], cell.folder, room)

    processes = subprocesses.several(cells, begin, jobs, count_tables)
    with contextlib.closing(processes) as ended:
        for cell, code in ended:
            count_tables()
            if code:
                log = cell.folder / subprocesses.LOG
                text = log.read_text(encoding="utf-8", errors="replace")
                error = text.split("error: ")[-1].strip().splitlines()
                reason = error[0] if error else f"ended with code {code}"
                raise ColorfastError(
                    f"{cell.folder.name} could not be measured: {reason}; see {log}"
                )


def _settings(plan: AttackPlan, cells: Sequence[AttackedModel]) -> dict[str, Any]:
    """What was attacked and how, without paths and times: the same run writes the same bytes."""
    models: dict[str, dict[str, str]] = {}
    for cell in cells:
        models.setdefault(cell.arm, {})[str(cell.seed)] = cell.sha256
    return {
        "models_sha256": models,
        "scenarios": len(plan.scenarios),
        "suite": plan.suite,
        "evaluation": plan.evaluation.model_dump(mode="json", exclude={"benchmarks", "batch_size"}),
        "precision": plan.computed_in,
    }
