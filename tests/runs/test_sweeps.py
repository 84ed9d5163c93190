"""Sweeps: parts of an experiment, several cells at once, what fails, how far it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from colorfast.config import Arm, Evaluation, Experiment
from colorfast.io import subprocesses
from colorfast.io.storage import folder_lock, in_use, read_json, write_json, write_text
from colorfast.report.gather import gather
from colorfast.runs import experiment as exp
from colorfast.runs.folder import stored_experiment
from colorfast.runs.layout import UNTRAINED, Cell, cells, largest_block
from colorfast.runs.status import status, statuses, time_left
from colorfast.runs.sweep import CellsFailedError, check_matched
from colorfast.runs.timing import CHOICE, Left, Pace, estimate_left, eval_units
from colorfast.types import ColorfastError
from helpers.command import colorfast, refused, wait_for
from helpers.run_folders import results as outcome
from helpers.tiny import write_toml

TRAIT_0, TRAIT_1 = Cell("trait-25", 0), Cell("trait-25", 1)
PART = 'traits = ["truthfulness"]\ndomains = ["health"]'


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with one whole run, `tiny`, of two arms and one seed."""
    folder = tmp_path_factory.mktemp("whole")
    exp.run(exp.load(str(write_toml(folder, tiny_model, top=PART))), folder)
    return folder


def written(run: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in run.glob("*/ledger.json")}


def block_in_the_way(run: Path, cell: Cell) -> Path:
    """A file where training wants a folder: the cell cannot be trained."""
    path = run / cell.name / "training"
    write_text(path, "")
    return path


@pytest.mark.parametrize(
    ("whole", "arms", "seeds"),
    [
        ("b0 b1 x0 x1 y0 y1", "b x y", [0, 1]),
        ("b0 b1 x0 x1 y0", "b x y", [0]),  # of equal blocks, the one with more arms
        ("b0 b1 x0 y0", "b x y", [0]),
        ("b0 b1 x1 y0 y1", "b x y", [1]),
        ("b0 b1 b2 x0 x2 y0 y1 y2", "b x y", [0, 2]),
        ("b0 b1 b2 x0 y0 y1 y2", "b y", [0, 1, 2]),
        ("b1 x0 x1 y0", "b x", [1]),
        ("b0 b1", "b", [0, 1]),
        ("x0 y0", "", []),
    ],
)
def test_compared_is_the_largest_block_without_a_gap(
    tiny: Experiment, whole: str, arms: str, seeds: list[int]
) -> None:
    names = {"b": "baseline", "x": "x", "y": "y"}
    experiment = tiny.model_copy(
        update={"arms": {n: Arm(dose=0) for n in names.values()}, "seeds": (0, 1, 2)}
    )
    found = largest_block([Cell(names[c[0]], int(c[1])) for c in whole.split()], experiment)
    assert found == ([names[a] for a in arms.split()], seeds)


def test_a_part_is_trained_compared_and_continued(small: Experiment, tmp_path: Path) -> None:
    run = exp.run(small, tmp_path / "part", arms=["trait-25"], seeds=[1])
    first = written(run)
    assert sorted(first) == ["baseline-s1", "trait-25-s1"]
    found = gather(run)
    assert found.experiment.seeds == (1,) and [a.name for a in found.arms] == [
        "baseline",
        "trait-25",
    ]
    assert found.left == ("baseline-s0 (waiting)", "trait-25-s0 (waiting)")
    exp.run(small, tmp_path / "part")
    assert {name: at for name, at in written(run).items() if name in first} == first
    assert gather(run).left == () and gather(run).experiment == small
    assert outcome(run) == outcome(exp.run(small, tmp_path / "at-once"))


def test_an_unknown_cell_is_refused_before_anything_is_made(
    small: Experiment, tmp_path: Path, tiny_model: Path
) -> None:
    with pytest.raises(ColorfastError, match="unknown arm 'trait-52'; did you mean 'trait-25'"):
        exp.run(small, tmp_path / "runs", arms=["trait-52"])
    with pytest.raises(ColorfastError, match="unknown seed '7'; known: 0, 1"):
        exp.run(small, tmp_path / "runs", seeds=[0, 7])
    toml = write_toml(tmp_path, tiny_model)
    refused(
        colorfast("run", str(toml), "--out", str(tmp_path / "runs"), "--seeds", "0,one"),
        "--seeds: wants whole numbers",
        "'one'",
    )
    assert not (tmp_path / "runs").exists()


def test_a_model_that_cannot_be_loaded_is_refused_before_anything_is_trained(
    small: Experiment, tmp_path: Path
) -> None:
    broken = shutil.copytree(small.model, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(
        ColorfastError, match=r"nothing was trained: .* cannot be loaded as a causal language model"
    ):
        exp.run(small.model_copy(update={"model": str(broken)}), tmp_path)
    assert not list(tmp_path.glob("tiny/*/metrics.jsonl"))


def test_a_cell_that_fails_takes_no_other_with_it_and_can_be_tried_again(
    tmp_path: Path, tiny_model: Path
) -> None:
    toml, run = (
        write_toml(tmp_path, tiny_model, top=f"seeds = [0, 1]\n{PART}"),
        tmp_path / "runs" / "tiny",
    )
    obstacle = block_in_the_way(run, Cell("trait", 0))
    done = colorfast("run", str(toml), "--out", str(tmp_path / "runs"))
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("failed:")]
    again = f"colorfast run {toml} --out {tmp_path / 'runs'} --arms trait --seeds 0"
    assert "trait-s0: FileExistsError" in line and line.endswith(f"to try again: {again}")
    assert sorted(written(run)) == ["baseline-s0", "baseline-s1", "trait-s1"]
    found = gather(run)
    assert found.experiment.seeds == (1,) and len(found.arms) == 2
    assert [note.partition(":")[0] for note in found.left] == [
        "baseline-s0 (whole, but not under every seed compared here)",
        "trait-s0 (failed",
    ]
    told = status(run, stored_experiment(run), Cell("trait", 0), 1)
    assert told.state == "failed" and told.reason.startswith("FileExistsError")
    before = written(run)
    obstacle.unlink()
    exp.run(exp.load(str(toml)), tmp_path / "runs", arms=["trait"], seeds=[0])
    assert written(run) == before | {"trait-s0": written(run)["trait-s0"]}
    assert gather(run).left == () and not (run / "trait-s0" / "failed.json").exists()


DEADLY = """
import os, signal, sys
from helpers.little_benchmark import items as plain
from colorfast.types import Benchmark

def items():
    if sys.argv[-1] == "trait-25-s1":
        os.kill(os.getpid(), signal.SIGKILL)
    return plain()

BENCHMARKS = (Benchmark("deadly", "arithmetic", "choice", "truthfulness", (), items),)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_takes_no_other_with_it(
    small: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    evaluation: Evaluation = small.evaluation.model_copy(
        update={"benchmarks": (str(tmp_path / "deadly.py"),)}
    )
    experiment = small.model_copy(update={"evaluation": evaluation})
    exp.run(experiment, tmp_path, arms=["baseline"])
    with pytest.raises(CellsFailedError) as error:
        exp.run(experiment, tmp_path, jobs=2)
    assert error.value.failed == {
        TRAIT_1: "killed by SIGKILL, as the system does when memory runs out"
    }
    assert sorted(path.parent.name for path in (tmp_path / "tiny").glob("*-s*/scores.parquet")) == [
        "baseline-s0",
        "baseline-s1",
        "trait-25-s0",
    ]
    assert status(tmp_path / "tiny", experiment, TRAIT_1, 1).reason == error.value.failed[TRAIT_1]


def test_a_process_ends_when_the_one_that_started_it_is_gone(whole: Path) -> None:
    command = [sys.executable, "-m", "colorfast.cli", "cell", str(whole / "tiny"), "trait-s0"]
    with (
        folder_lock(whole / "tiny" / "trait-s0", wait=False),
        subprocess.Popen(command, stdin=subprocess.PIPE) as process,
    ):
        assert process.stdin is not None
        # as the system does for a parent that was killed; without that it would wait for the lock
        process.stdin.close()
        assert process.wait(60) == 1


@pytest.mark.slow
def test_cells_at_once_end_when_stopped_and_continue_to_the_same_weights(
    tmp_path: Path, tiny_model: Path
) -> None:
    experiment, run = (
        exp.load(str(write_toml(tmp_path, tiny_model, steps=16, top=PART))),
        tmp_path / "runs" / "tiny",
    )
    undisturbed = exp.run(experiment, tmp_path / "undisturbed")
    shutil.copytree(undisturbed / "start", run / "start")

    def nobody_works() -> bool:
        return not any(in_use(run / cell.name) for cell in cells(experiment))

    sign = run / "trait-s0" / "training" / "checkpoint-4"
    interrupt = threading.Thread(
        target=lambda: (wait_for(sign.exists), os.kill(os.getpid(), signal.SIGINT))
    )
    interrupt.start()
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # those who run tests beside each other switch it off
    try:
        with pytest.raises(KeyboardInterrupt):
            exp.run(experiment, run.parent, jobs=2)
    finally:
        signal.signal(signal.SIGINT, before)
    interrupt.join()
    assert nobody_works() and not list(run.glob("*/failed.json"))
    exp.run(experiment, run.parent, jobs=2)
    assert outcome(run) == outcome(undisturbed)


def test_the_part_that_is_asked_for_needs_less_room(
    small: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (Path(small.model) / "model.safetensors").stat().st_size
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, int(4 * size))
    )
    with pytest.raises(ColorfastError, match="GB free, this run needs about"):
        exp.run(small, tmp_path)  # four models, and one in the making
    exp.run(small, tmp_path, seeds=[0])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 0))
    exp.run(small, tmp_path, seeds=[0])


def test_arms_that_used_other_compute_are_not_compared(small: Experiment, tmp_path: Path) -> None:
    run = exp.run(small, tmp_path, seeds=[0])
    ledger = read_json(run / "baseline-s0" / "ledger.json")
    write_json(
        run / "baseline-s0" / "ledger.json", ledger | {"total": ledger["total"] | {"prompts": 9}}
    )
    with pytest.raises(
        ColorfastError, match=r"not compute-matched, prompts differ: {'baseline': 9, 'trait-25': 8"
    ):
        check_matched(run, small, 0)


def test_the_state_of_a_cell_is_told_from_its_files(whole: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole / "tiny", tmp_path / "tiny")
    experiment, cell, folder = stored_experiment(run), Cell("trait", 0), run / "trait-s0"

    def words() -> str:
        return status(run, experiment, cell, 1).words

    assert words() == "done"
    (folder / "scores.parquet").unlink()
    assert words() == "stopped at eval 2 of 2"
    with folder_lock(folder, wait=False):
        assert words() == "evaluating eval 2 of 2"
    (folder / "ledger.json").unlink()
    write_text(folder / "metrics.jsonl", "{}\n{}\n")
    assert words() == "stopped at step 2 of 4, before its first checkpoint"
    (folder / "training" / "checkpoint-2").mkdir(parents=True)
    assert words() == "stopped at step 2 of 4"
    with folder_lock(folder, wait=False):
        assert words() == "training step 2 of 4"
    write_json(folder / "failed.json", {"reason": "no power"})
    assert words() == "failed"
    for name in ("failed.json", "metrics.jsonl"):
        (folder / name).unlink()
    shutil.rmtree(folder / "scores")
    assert words() == "waiting"


def test_time_left_follows_the_pace_so_far(small: Experiment, tmp_path: Path) -> None:
    """4 steps a cell, 2 s each; 10 replies and 4 choices a cell, 1 s each. Of four cells one is
    done, one trained, two wait."""
    write_json(tmp_path / "run.json", {"traits": {str(i): "truthfulness" for i in range(10)}})

    def left() -> Left:
        return time_left(statuses(tmp_path, small, [UNTRAINED, *cells(small)]))

    assert str(left()) == "time left not known yet"
    for name, clock in (
        ("baseline-s0", {"training": (8, 4), "evaluation": (14, 14)}),
        ("trait-25-s0", {"training": (8, 4)}),
    ):
        write_text(tmp_path / name / "metrics.jsonl", "{}\n" * 4)
        write_json(tmp_path / name / "ledger.json", {})
        write_json(
            tmp_path / name / "time.json",
            {phase: {"seconds": s, "units": n} for phase, (s, n) in clock.items()},
        )
    write_text(tmp_path / "baseline-s0" / "scores.parquet", "")
    assert left().seconds == 10 + 14 + 2 * (8 + 14)
    assert str(left()) == "about 2 min left"
    (tmp_path / "baseline-s0" / "time.json").unlink()
    assert left().seconds == 2 * 8 and str(left()) == "at least 1 min left"
    with (
        folder_lock(tmp_path / "trait-25-s0", wait=False),
        folder_lock(tmp_path / "baseline-s1", wait=False),
    ):
        assert left().seconds == 8


def pace(units: float, rate: float, left: float) -> Pace:
    return Pace(units * rate, units, left)


def test_a_disturbed_first_scoring_does_not_decide_the_time_left() -> None:
    """Three cells of 100 units of training, 1 s each, and 100 of evaluation, .5 s each. Something
    else slowed down the scoring of the untrained model to 10 s a unit."""
    disturbed = [pace(20, 10, 0)]
    begun = [pace(10, 1, 90), pace(0, 0, 100), pace(0, 0, 100)]
    early = estimate_left(begun, [pace(0, 0, 100)] * 3, disturbed, 1)
    assert early.seconds == 290 + 300  # at the rate of training, which samples too
    undisturbed = estimate_left(begun, [pace(0, 0, 100)] * 3, [pace(20, 0.5, 0)], 1)
    assert undisturbed.seconds == 290 + 150
    trained = [pace(100, 1, 0), pace(0, 0, 100), pace(0, 0, 100)]
    measured = [pace(100, 0.5, 0), pace(0, 0, 100), pace(0, 0, 100)]
    assert estimate_left(trained, measured, disturbed, 1).seconds == 200 + 100
    assert estimate_left(trained, measured, disturbed, 2).seconds == 150
    slow = [pace(100, 0.5, 0), pace(100, 5, 0), pace(100, 0.5, 0), pace(0, 0, 100)]
    assert estimate_left([], slow, disturbed, 1).seconds == 50  # nor does a later disturbance


def test_work_is_counted_by_the_length_of_replies(small: Experiment) -> None:
    settings = {"benchmarks": ("xstest-safe", "truthfulqa-mc1"), "items": 100, "max_tokens": 40}
    evaluation = small.evaluation.model_copy(update=settings | {"benchmark_max_tokens": 10})
    units = eval_units(evaluation, 30)
    assert units == {"heldout": 30, "xstest-safe": 25, "truthfulqa-mc1": 100 * CHOICE}
    own = evaluation.model_copy(update={"benchmarks": ("gone.py",)})
    assert eval_units(own, 30) == {"heldout": 30, "gone.py": 100}  # no code of a user's file runs


def test_status_prints_the_table_whether_it_runs_or_not(whole: Path) -> None:
    printed = colorfast("status", str(whole / "tiny")).stdout
    assert "tiny: not running" in printed and "2 of 2 cells done" in printed
    assert [line.split() for line in printed.splitlines()[1:4]] == [
        ["arm", "seed", "0"],
        ["baseline", "done"],
        ["trait", "done"],
    ]
    with folder_lock(whole / "tiny", wait=False):
        told = json.loads(colorfast("status", str(whole / "tiny"), "--json").stdout)
    assert told["running"] is True and told["seconds_left"] == 0
    assert [
        (c["cell"], c["state"], c["steps"]["done"], c["evals"]["of"]) for c in told["cells"]
    ] == [
        ("start", "done", 0, 1),
        ("baseline-s0", "done", 4, 2),
        ("trait-s0", "done", 4, 2),
    ]
    refused(colorfast("status", str(whole)), "not a run folder")


@pytest.mark.parametrize("name", exp.names())
def test_a_shipped_experiment_is_sound(name: str) -> None:
    experiment = exp.load(name)
    assert experiment.name == name and experiment.about
    assert exp.read(name) == experiment


def test_every_dose_of_the_dose_experiment_is_exact() -> None:
    experiment = exp.read("dose")
    doses = sorted(arm.dose for arm in experiment.arms.values())
    assert doses == [0, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]
    assert all(
        round(dose * experiment.slots) == pytest.approx(dose * experiment.slots) for dose in doses
    )


def test_transfer_has_an_arm_for_every_domain_and_trait() -> None:
    experiment = exp.read("transfer")
    one_of = [(*arm.domains, *arm.traits) for arm in experiment.arms.values()]
    rows = exp.all_scenarios(experiment)
    assert sorted(one_of) == sorted(
        [(), *((d,) for d in {s.domain for s in rows}), *((t,) for t in {s.trait for s in rows})]
    )


def test_the_arm_without_health_and_science_has_all_else() -> None:
    experiment = exp.read("paper")
    domains = {s.domain for s in exp.all_scenarios(experiment)}
    assert set(experiment.arms["neither-5"].domains) == domains - {"health", "science"}


@pytest.mark.parametrize(("given", "devices"), [("", ["0", "1", "0"]), ("4,7", ["4", "7", "4"])])
def test_each_process_has_a_gpu_of_its_own_or_its_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, given: str, devices: list[str]
) -> None:
    assert subprocesses.room(0, 2) == {"OMP_NUM_THREADS": "1"}
    assert subprocesses.room(5, 6) == {"OMP_NUM_THREADS": "1"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert [subprocesses.room(place, 3)["CUDA_VISIBLE_DEVICES"] for place in range(3)] == devices
