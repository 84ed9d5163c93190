"""What trackers and the terminal are told while a cell trains, and that being told changes
nothing."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from colorfast.config import Experiment
from colorfast.io import console
from colorfast.io.storage import read_json
from colorfast.runs import experiment
from colorfast.training.engines import tracking, trl
from colorfast.training.schedule import schedule
from helpers.command import colorfast, refused
from helpers.tiny import write_toml

Told = list[dict[str, Any]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """All that a tracker gets, in place of tensorboard."""
    found: Told = []

    class Tracker(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            found.append({"name": args.run_name, "where": os.environ["TENSORBOARD_LOGGING_DIR"]})

        def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: Any) -> None:
            found.append({"step": state.global_step} | logs)

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Tracker)
    return found


def train(tiny: Experiment, folder: Path, **changes: Any) -> Told:
    """Train the arm of half a dose; its rows of metrics."""
    training = tiny.training.model_copy(update=changes)
    trl.train(tiny.model, schedule(tiny, tiny.arms["trait-50"], 0), training, 0, folder)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_tracker_gets_every_steps_rewards_by_source_and_the_weights_stay_the_same(
    tiny: Experiment, told: Told, tmp_path: Path
) -> None:
    metrics = train(tiny, tmp_path / "tiny" / "told", report_to=("tensorboard",))
    assert told[0] == {"name": "tiny/told", "where": str(tmp_path / "tiny" / "told" / "logs")}
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ
    steps = [row for row in told if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4]
    for row, step in zip(steps, metrics, strict=True):
        for source, values in step["sources"].items():
            assert (
                row[f"reward/{source}"] == values["reward"]
                and row[f"advantage_share/{source}"] == values["advantage_share"]
            )
    train(tiny, tmp_path / "tiny" / "alone")
    assert (
        len(
            {
                read_json(tmp_path / "tiny" / cell / "ledger.json")["weights"]
                for cell in ("told", "alone")
            }
        )
        == 1
    )


def test_each_cell_has_a_wandb_run_of_its_own_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    wandb = SimpleNamespace(
        **{
            name: lambda name=name: done.append((name, os.environ["WANDB_DIR"]))
            for name in ("finish", "teardown")
        }
    )
    monkeypatch.delenv("WANDB_DIR", raising=False)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    for cell in ("a", "b"):
        with tracking.logs_in(tmp_path / cell):
            assert os.environ["WANDB_DIR"] == str(tmp_path / cell)
    assert done == [
        (name, str(tmp_path / cell)) for cell in ("a", "b") for name in ("finish", "teardown")
    ]


def test_tensorboard_writes_into_the_cells_folder(tiny: Experiment, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    metrics = train(tiny, tmp_path / "tiny" / "cell", report_to=("tensorboard",))
    events = EventAccumulator(str(tmp_path / "tiny" / "cell" / "logs"))
    events.Reload()
    source = next(iter(metrics[-1]["sources"]))
    assert f"train/reward/{source}" in events.Tags()["scalars"]
    assert events.Scalars(f"train/reward/{source}")[-1].value == pytest.approx(
        metrics[-1]["sources"][source]["reward"]
    )


def test_a_tracker_that_is_missing_is_one_line_before_anything_is_trained(
    tmp_path: Path, tiny_model: Path, monkeypatch: Any
) -> None:
    toml = str(write_toml(tmp_path, tiny_model, training='report_to = ["tensorbord"]'))
    refused(
        colorfast("run", toml, "--out", str(tmp_path / "runs")),
        "training.report_to",
        "did you mean 'tensorboard'",
    )
    monkeypatch.setattr(experiment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        experiment.ColorfastError, match="wandb is not installed; pip install wandb"
    ):
        experiment.check_trackers(["wandb"])
    assert not (tmp_path / "runs").exists()


def test_the_bar_shows_the_mean_of_the_last_steps_with_the_trait_first() -> None:
    def row(**rewards: float | None) -> dict[str, Any]:
        return {"sources": {source: {"reward": reward} for source, reward in rewards.items()}}

    old = [row(trait=1.0, facts=1.0)] * 5
    recent = [
        row(facts=0.0, trait=0.2),
        *[row(facts=0.5)] * (tracking.RECENT - 2),
        row(facts=0.5, trait=0.4, format=None),
    ]
    facts = 0.5 * (tracking.RECENT - 1) / tracking.RECENT
    assert tracking.recent([*old, *recent]) == f"trait 0.30 facts {facts:.2f}"


def test_a_plain_pipe_is_told_now_and_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    out, clock = io.StringIO(), iter(range(0, 1000, 20))
    monkeypatch.setattr(console, "console", Console(file=out, width=200))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress("train x", 10, 2) as advance:
        for _ in range(4):
            advance(note="trait 0.41")
    assert out.getvalue().splitlines() == [
        "train x ...",
        "train x: 4 of 10, about 2.0 min left; trait 0.41",
        "train x: 6 of 10, about 1.3 min left; trait 0.41",
    ]
