"""Killed anywhere, the same command continues and ends with the same weights and scores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from colorfast.io.folders import load_module
from helpers.command import colorfast, refused, wait_for
from helpers.run_folders import results as outcome
from helpers.tiny import write_toml


def kill_when(sign: Path, command: list[str]) -> None:
    """Start the command and SIGKILL it as soon as `sign` exists."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}
    )
    until = time.monotonic() + 600
    while not sign.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    assert process.poll() is None, f"ended before {sign.name} appeared"
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = colorfast(
        "run", str(write_toml(folder, tiny_model, steps=6)), "--out", str(folder / "runs")
    )
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "tiny"


def test_sigkill_in_training_and_in_evaluation_changes_nothing(
    tmp_path: Path, tiny_model: Path, undisturbed: Path
) -> None:
    toml = write_toml(tmp_path, tiny_model, steps=6)
    run = tmp_path / "runs" / "tiny"
    asked = ["run", str(toml), "--out", str(tmp_path / "runs")]
    command = [sys.executable, "-m", "colorfast.cli", *asked]
    kill_when(run / "baseline-s0" / "training" / "checkpoint-2" / "whole", command)
    kill_when(run / "baseline-s0" / "scores" / "heldout.parquet", command)
    kill_when(run / "trait-s0" / "training" / "checkpoint-4", command)
    done = colorfast(*asked)
    assert done.returncode == 0, done.stderr
    assert outcome(run) == outcome(undisturbed)


def test_ctrl_c_says_that_the_same_command_continues(tmp_path: Path, tiny_model: Path) -> None:
    toml = write_toml(tmp_path, tiny_model, steps=40)
    # Processes that run tests beside each other ignore SIGINT, and hand that on.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from colorfast.cli import main; main()"
    command = [sys.executable, "-c", code, "run", str(toml), "--out", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        wait_for((tmp_path / "tiny" / "baseline-s0" / "training" / "checkpoint-2").exists)
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopped; the same command continues" in shown


@pytest.mark.slow
def test_random_kills_change_nothing(tmp_path: Path) -> None:
    """Two of the twenty moments of `bench/kills.py`."""
    kills = load_module(Path(__file__).parents[2] / "bench" / "kills.py")
    assert kills is not None
    whole = kills.undisturbed(tmp_path / "work")
    for moment in kills.moments(whole["seconds"])[5::10]:
        row = kills.kill(tmp_path / "work", moment, whole["results"])
        assert row["equal"], row


def test_a_finished_run_is_not_trained_again(
    tmp_path: Path, tiny_model: Path, undisturbed: Path
) -> None:
    before = (undisturbed / "trait-s0" / "ledger.json").stat().st_mtime_ns
    done = colorfast(
        "run", str(write_toml(tmp_path, tiny_model, steps=6)), "--out", str(undisturbed.parent)
    )
    assert done.returncode == 0
    assert (undisturbed / "trait-s0" / "ledger.json").stat().st_mtime_ns == before


def test_a_folder_of_another_experiment_is_refused_with_the_first_differing_key(
    tmp_path: Path, tiny_model: Path, undisturbed: Path
) -> None:
    done = colorfast(
        "run", str(write_toml(tmp_path, tiny_model, steps=7)), "--out", str(undisturbed.parent)
    )
    refused(done, "made by another experiment", "experiment.training.steps: was 6, is now 7")


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    import fcntl

    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    with (tmp_path / "runs" / "tiny" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(
            colorfast(
                "run", str(write_toml(tmp_path, tiny_model)), "--out", str(tmp_path / "runs")
            ),
            "another run is using this folder",
        )
    assert not (tmp_path / "runs" / "tiny" / "run.json").exists()


def test_no_room_on_the_disk_is_said_before_anything_starts(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from colorfast.runs import experiment
    from colorfast.types import ColorfastError

    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 1000)
    )
    with pytest.raises(ColorfastError, match="GB free, this run needs about"):
        experiment.run(experiment.load(str(write_toml(tmp_path, tiny_model))), tmp_path / "runs")
