"""Run folders made without a model, as the engine and the evaluation leave them; their reports."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from colorfast.config import Arm, Evaluation, Experiment, Training
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT
from colorfast.io.storage import digest, write_json, write_text
from colorfast.io.tables import read_rows
from colorfast.io.tables import write_scores as write_table
from colorfast.report import show, write
from colorfast.stats.intervals import rng
from colorfast.training.ledger import Rollout, ledger, step_metrics
from colorfast.training.schedule import all_scenarios, heldout, schedule, schedule_hash
from colorfast.types import TRAIT_SOURCE, Score, Slot, Verdict
from helpers.tiny import LITTLE

HOSTILE = (
    '<script>alert(1)</script>\x1b[31mred\x1b[0m <img src="http://evil.example/x.png">\x07'
    " \u202etxt"
)


STAMPS = {HELDOUT: "h", "little": "l", "careful": "c"}


Value = Callable[[str, str], float]
"""(arm, item) -> the score of its replies."""


def write_scores(path: Path, rows: list[Score]) -> None:
    write_table(path, rows, STAMPS)


def experiment(**changes: object) -> Experiment:
    values = {
        "name": "small",
        "model": "tiny",
        "standard": ("facts", "format"),
        "training": Training(
            steps=4, prompts_per_step=2, group_size=2, max_tokens=6, learning_rate=1e-3
        ),
        "arms": {"baseline": Arm(dose=0), "trait-5": Arm(dose=0.25), "trait-50": Arm(dose=0.5)},
        "evaluation": Evaluation(benchmarks=(LITTLE,), items=4, samples=2),
    }
    return Experiment(**(values | changes))


def rollouts(slots: tuple[Slot, ...], step: int) -> list[Rollout]:
    """Two replies to every prompt of a step, one of which is better."""
    return [
        Rollout(
            slot=s.index,
            sample=k,
            source=s.task.source,
            task=s.task.id,
            prompt="",
            reply="",
            prompt_tokens=7,
            tokens=5 + k,
            truncated=k == 1,
            verdict=Verdict(0.25 + k / 2),
            shown=False,
            advantage=k - 0.5,
        )
        for s in slots
        if s.step == step
        for k in range(2)
    ]


def scores(e: Experiment, arm: str, value: Value, reply: str) -> list[Score]:
    held = [
        Score(HELDOUT, s.id, k, value(arm, s.id), reply=reply)
        for s in heldout(e)
        for k in range(e.evaluation.samples)
    ]
    chosen = [
        Score(b.id, i.id, 0, value(arm, i.id), 0.5)
        for b in map(benchmarks.get, e.evaluation.benchmarks)
        for i in b.items()
    ]
    return held + chosen


def make_run(folder: Path, e: Experiment, value: Value, reply: str = "A plain reply.") -> Path:
    """A run folder as the engine and the evaluation leave it, without a model."""
    run = folder / e.name
    scenarios = digest([s.model_dump(mode="json") for s in all_scenarios(e)])
    plan = {
        "experiment": e.model_dump(mode="json"),
        "model_sha256": "a1" * 32,
        "scenarios_sha256": scenarios,
    }
    write_json(
        run / "run.json",
        {
            "plan": plan,
            "traits": {s.id: s.trait for s in heldout(e)},
            "versions": {"torch": "2"},
            "machine": {"python": "3.11"},
        },
    )
    write_scores(
        run / "start" / "scores.parquet",
        [Score(HELDOUT, s.id, 0, 0.125, reply=reply) for s in heldout(e)],
    )
    for name, arm in e.arms.items():
        for seed in e.seeds:
            cell, slots = run / f"{name}-s{seed}", schedule(e, arm, seed)
            dosed = sum(s.task.source == TRAIT_SOURCE for s in slots)
            counts = {
                "slots": len(slots),
                "trait_slots": dosed,
                "shared_slots": len(slots) - dosed,
                "dose": arm.dose,
            }
            write_json(cell / "schedule.json", {"sha256": schedule_hash(slots), **counts})
            metrics = [
                step_metrics(step, rollouts(slots, step)) for step in range(e.training.steps)
            ]
            write_text(cell / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in metrics))
            used = ledger(metrics, 1000, [s.row() for s in slots])
            write_json(cell / "ledger.json", used | {"weights": digest([name, seed])})
            write_scores(cell / "scores.parquet", scores(e, name, value, reply))
    return run


def flat(arm: str, item: str) -> float:
    return 0.5


def better(arm: str, item: str) -> float:
    """Only trait-50 is better, on every item."""
    return 0.9 if arm == "trait-50" else 0.5


def mixed(arm: str, item: str) -> float:
    return float(rng(f"{arm}-{item}").random())


def html(run: Path) -> str:
    return write(run).read_text(encoding="utf-8")


def section(page: str, name: str) -> str:
    return re.sub(r"<[^>]*>", "", page.split(f'<section id="{name}">')[1].split("</section>")[0])


def printed(run: Path, width: int = 100) -> str:
    out = io.StringIO()
    show(run, Console(file=out, width=width, highlight=False))
    return out.getvalue()


def results(run: Path) -> dict[str, object]:
    """Weights, scores and schedule hashes of a finished run: what must not depend on its
    history."""
    outcome: dict[str, object] = {}
    for cell in sorted(run.glob("*-s*")):
        record = json.loads((cell / "ledger.json").read_text())
        outcome[cell.name] = (
            record,
            read_rows(cell / "scores.parquet"),
            (cell / "metrics.jsonl").read_text(),
        )
    return outcome
