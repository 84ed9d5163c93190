"""What cells of different experiments have in common is trained and scored once, and nothing else
is taken for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colorfast.config import Arm, Evaluation, Experiment
from colorfast.io.storage import digest, read_json, write_text
from colorfast.report.gather import gather
from colorfast.runs import cell_cache, experiment
from colorfast.runs.layout import cells
from colorfast.runs.status import statuses
from colorfast.training.schedule import schedule
from helpers.run_folders import results as outcome


def test_what_another_experiment_trained_is_taken_from_it(
    small: Experiment, tmp_path: Path
) -> None:
    first = experiment.run(small, tmp_path, seeds=[0])
    training = small.training.model_copy(update={"save_every": 3, "keep_rollouts_every": 1})
    arms = {
        "baseline": small.arms["baseline"],
        "again": small.arms["trait-25"],
        "half": Arm(dose=0.5),
    }
    other = small.model_copy(
        update={"name": "other", "arms": arms, "training": training, "seeds": (0,)}
    )
    second, afresh = experiment.run(other, tmp_path), experiment.run(other, tmp_path / "elsewhere")
    shared = {
        cell.name: s.shared_from
        for cell, s in zip(cells(other), statuses(second, other, cells(other)), strict=True)
    }
    assert all(
        (second / name / "adapter" / "adapter_model.safetensors").is_file()
        == (second / name / "checkpoint").is_dir()
        for name in shared
    )
    assert shared == {
        "baseline-s0": "tiny/baseline-s0",
        "again-s0": "tiny/trait-25-s0",
        "half-s0": "",
    }
    for ours, theirs in (
        ("baseline-s0", "baseline-s0"),
        ("again-s0", "trait-25-s0"),
        ("start", "start"),
    ):
        for path in [
            p for p in (first / theirs).rglob("*") if p.parent.name in ("checkpoint", "scores")
        ]:
            assert path.samefile(second / ours / path.relative_to(first / theirs))
    without = {
        name: ({k: v for k, v in used.items() if k != "shared_from"}, *rest)
        for name, (used, *rest) in outcome(second).items()
    }
    assert without == {name: (used, *rest) for name, (used, *rest) in outcome(afresh).items()}
    before = gather(second)
    shutil.rmtree(first)
    assert gather(second) == before and experiment.run(other, tmp_path) == second


def test_weights_that_are_not_as_the_ledger_says_are_not_taken(
    small: Experiment, tmp_path: Path
) -> None:
    first = experiment.run(small, tmp_path, arms=["baseline"], seeds=[0])
    weights = first / "baseline-s0" / "checkpoint" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    second = experiment.run(
        small.model_copy(update={"name": "other"}), tmp_path, arms=["baseline"], seeds=[0]
    )
    ledgers = [read_json(run / "baseline-s0" / "ledger.json") for run in (first, second)]
    assert "shared_from" not in ledgers[1] and ledgers[0]["weights"] == ledgers[1]["weights"]


@pytest.mark.parametrize(
    "change",
    [
        lambda e: {"training": e.training.model_copy(update={"learning_rate": 2e-3})},
        lambda e: {"training": e.training.model_copy(update={"kl": 0.1})},
        lambda e: {"system": "Be brief."},
        lambda e: {"standard": ("facts",)},
        lambda e: {"arms": {"baseline": Arm(dose=0.5)}},
        lambda e: {"arms": {"baseline": Arm(dose=0.25, reward="helpfulness")}},
        lambda e: {"arms": {"baseline": Arm(dose=0.25, domains=("law",))}},
    ],
)
def test_whatever_reaches_the_weights_is_in_the_key(
    tiny: Experiment, change: Callable[[Experiment], dict[str, Any]]
) -> None:
    plain = tiny.model_copy(update={"arms": {"baseline": Arm(dose=0.25)}})

    def key(e: Experiment, seed: int = 0, model: str = "m") -> str:
        return digest(
            cell_cache.trained_inputs(model, schedule(e, e.arms["baseline"], 0), e.training, seed)
        )

    assert key(plain) == key(
        plain.model_copy(update={"name": "other", "seeds": (0, 5), "evaluation": Evaluation()})
    )
    assert (
        len(
            {
                key(plain),
                key(plain, seed=1),
                key(plain, model="n"),
                key(plain.model_copy(update=change(plain))),
            }
        )
        == 4
    )


def test_the_users_own_grader_is_in_the_key(tiny: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    slots = schedule(tiny, Arm(dose=0), 0)[:1]
    rubric = (slots[0].task.rubric[0].model_copy(update={"grader": str(path)}),)
    own = [type(slots[0])(0, 0, slots[0].task.model_copy(update={"rubric": rubric}))]
    path.write_text("one")
    before = cell_cache.trained_inputs("m", own, tiny.training, 0)
    path.write_text("two")
    assert cell_cache.trained_inputs("m", own, tiny.training, 0) != before


def test_a_cell_begun_under_another_key_has_none(tmp_path: Path) -> None:
    cell = tmp_path / "run" / "baseline-s0"
    cell_cache.write_key(cell, {"code": "old"})
    cell_cache.write_key(cell, {"code": "new"})
    assert read_json(cell / "key.json")["key"] == digest({"code": "new"})
    write_text(cell / "metrics.jsonl", "{}\n")
    cell_cache.write_key(cell, {"code": "newest"})
    assert read_json(cell / "key.json")["key"] is None and not list(cell_cache.matching_cells(cell))


def test_scores_of_another_evaluation_are_not_taken(small: Experiment, tmp_path: Path) -> None:
    first = experiment.run(small, tmp_path, arms=["baseline"], seeds=[0])
    evaluation = small.evaluation.model_copy(update={"items": 3})
    second = experiment.run(
        small.model_copy(update={"name": "other", "evaluation": evaluation}),
        tmp_path,
        arms=["baseline"],
        seeds=[0],
    )
    same = {
        name: (first / "baseline-s0" / name).samefile(second / "baseline-s0" / name)
        for name in ("scores/heldout.parquet", "scores/little.parquet")
    }
    assert same == {"scores/heldout.parquet": True, "scores/little.parquet": False}
