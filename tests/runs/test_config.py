"""What an experiment's TOML may hold: names of TRL and lm-eval are accepted, renamed keys are
refused by name, and run folders with renamed keys are read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from colorfast.config import ALIASES, FORMER_KEYS, Experiment, rename_keys
from colorfast.io.storage import read_json, write_json
from colorfast.report import write
from colorfast.runs.experiment import read, run
from colorfast.runs.folder import load_run, stored_experiment
from colorfast.types import ColorfastError

TOML = """
name = "named"
model = "any"
standard = ["facts"]
[training]
{steps} = 3
prompts_per_step = 2
{group_size} = 5
{max_tokens} = 7
{kl} = 0.5
learning_rate = 1e-3
{training}
[arms.baseline]
dose = 0
[arms.trait]
dose = 0.5
{arm}
[evaluation]
{items} = 9
"""
OURS = {key: key for table in ALIASES.values() for key in table.values()}


def read_toml(folder: Path, **changes: str) -> Experiment:
    path = folder / "named.toml"
    path.write_text(TOML.format(**{"training": "", "arm": "", **OURS, **changes}))
    return read(str(path))


def test_names_of_trl_and_lm_eval_are_accepted(tmp_path: Path) -> None:
    theirs = {key: alias for table in ALIASES.values() for alias, key in table.items()}
    assert theirs == {
        "steps": "max_steps",
        "group_size": "num_generations",
        "max_tokens": "max_completion_length",
        "kl": "beta",
        "items": "limit",
    }
    assert read_toml(tmp_path, **theirs) == read_toml(tmp_path)
    for key, alias in theirs.items():
        assert read_toml(tmp_path, **{key: alias}) == read_toml(tmp_path)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"training": 'method = "lora"'}, "training.method is now training.adapter"),
        ({"training": 'reward.kind = "code"'}, "training.reward is now training.grading"),
        ({"training": "shown = 1"}, "training.shown is now training.demonstrations"),
        ({"arm": 'method = "rl"'}, "arms.trait.method is now arms.trait.objective"),
        ({"training": "max_steps = 3"}, "training.max_steps is another name of training.steps"),
        ({"items": "items = 3\nlimit"}, "evaluation.limit is another name of evaluation.items"),
    ],
)
def test_a_renamed_key_and_a_setting_with_both_names_are_one_line(
    tmp_path: Path, changes: dict[str, str], wanted: str
) -> None:
    with pytest.raises(ColorfastError) as error:
        read_toml(tmp_path, **changes)
    assert str(error.value).startswith(f"{tmp_path / 'named.toml'}: {wanted}")
    assert "\n" not in str(error.value)


def with_former_keys(table: dict[str, Any], kind: str) -> dict[str, Any]:
    former = {key: name for name, key in FORMER_KEYS[kind].items()}
    return {former.get(key, key): value for key, value in table.items()}


def test_a_run_folder_with_renamed_keys_is_continued_and_reported(
    tiny: Experiment, tiny_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_run, folder)
    made = read_json(folder / "run.json")
    stored = made["plan"]["experiment"]
    stored["training"] = with_former_keys(stored["training"], "training")
    stored["arms"] = {name: with_former_keys(arm, "arms") for name, arm in stored["arms"].items()}
    write_json(folder / "run.json", made)
    assert {"method", "reward", "shown"} <= stored["training"].keys()
    assert "method" in stored["arms"]["baseline"]
    rename_keys(stored, FORMER_KEYS)
    assert stored == tiny.model_dump(mode="json")
    assert stored_experiment(folder) == stored_experiment(tiny_run) and load_run(
        folder
    ) == load_run(tiny_run)
    ledgers = [path.stat().st_mtime_ns for path in sorted(folder.glob("*/ledger.json"))]
    assert run(tiny, tmp_path) == folder
    assert [p.stat().st_mtime_ns for p in sorted(folder.glob("*/ledger.json"))] == ledgers
    write(folder)
    assert (folder / "report" / "report.md").is_file()
