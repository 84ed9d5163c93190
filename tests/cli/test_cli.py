"""The command line: what it prints, and one clear line with exit code 2 for everything a user can
mend."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from colorfast.cli import app
from colorfast.config import Experiment
from colorfast.training.schedule import schedule_hash
from helpers.command import colorfast, refused
from helpers.tiny import write_toml


def test_a_misspelt_key_is_named_though_a_required_one_is_missing(
    tmp_path: Path, tiny_model: Path
) -> None:
    toml = write_toml(tmp_path, tiny_model)
    toml.write_text(toml.read_text().replace("learning_rate", "learing_rate"))
    done = colorfast("run", str(toml), "--out", str(tmp_path))
    refused(done, "training.learing_rate: unknown key", "did you mean 'learning_rate'")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"training": 'method = "lora"'}, "training.method is now training.adapter"),
        ({"training": "max_steps = 4"}, "training.max_steps is another name of training.steps"),
    ],
)
def test_a_renamed_key_and_a_setting_with_two_names_are_one_line(
    tmp_path: Path, tiny_model: Path, changes: dict[str, str], wanted: str
) -> None:
    toml = write_toml(tmp_path, tiny_model, **changes)
    refused(colorfast("run", str(toml), "--out", str(tmp_path)), f"{toml}: {wanted}")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {"training": "learning_rat = 1"},
            ["training.learning_rat: unknown key", "did you mean 'learning_rate'"],
        ),
        ({"top": "standart = []"}, ["standart: unknown key", "did you mean 'standard'"]),
        (
            {"arm": 'traits = ["truthfulnes"]'},
            ["unknown trait in arms.trait", "did you mean 'truthfulness'"],
        ),
        ({"arm": 'domains = ["helth"]'}, ["unknown domain in arms.trait", "did you mean 'health'"]),
        ({"benchmark": "xtest-safe"}, ["unknown benchmark", "did you mean 'xstest-safe'"]),
        ({"dose": 1.5}, ["arms.trait.dose", "less than or equal to 1", "1.5"]),
        ({"dose": -0.1}, ["arms.trait.dose", "greater than or equal to 0"]),
        ({"dose": 0.05}, ["4 steps of 2 prompts cannot hold one trait slot"]),
        ({"dose": '"much"'}, ["arms.trait.dose", "much"]),
        ({"steps": 0}, ["training.steps"]),
        ({"model": "/nowhere/model.gguf"}, ["/nowhere/model.gguf: no such model file"]),
        ({"top": 'scenarios = ["missing.jsonl"]'}, ["missing.jsonl: no such file"]),
        ({"top": "= = ="}, ["not TOML"]),
    ],
)
def test_a_wrong_experiment_is_one_line(
    tmp_path: Path, tiny_model: Path, changes: dict[str, Any], wanted: list[str]
) -> None:
    path = write_toml(tmp_path, tiny_model, **changes)
    refused(colorfast("run", str(path), "--out", str(tmp_path / "runs")), *wanted)
    assert not list((tmp_path / "runs").rglob("*.part"))


def test_an_unknown_experiment_or_arm_is_one_line_with_the_nearest_name(
    tmp_path: Path, tiny_model: Path
) -> None:
    refused(colorfast("run", "quik"), "quik", "did you mean 'quick'")
    refused(
        colorfast("schedule", str(write_toml(tmp_path, tiny_model)), "--arm", "trail"),
        "did you mean 'trait'",
    )
    refused(colorfast("report", str(tmp_path)), "not a run folder")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("{", ["rows.jsonl:2", "not JSON"]),
        ("[]", ["rows.jsonl:2", "must be an object"]),
        ({"rubric": []}, ["rows.jsonl:2", "rubric"]),
        ({"weight": 0.9}, ["rows.jsonl:2", "rubric", "sum to 1"]),
        ({"domian": "law"}, ["rows.jsonl:2", "domian: unknown key", "did you mean 'domain'"]),
        ({"replies": {"good": "x"}}, ["rows.jsonl:2", "replies need bad"]),
        ({"messages": [{"role": "robot", "content": "x"}]}, ["rows.jsonl:2", "messages.0.role"]),
        ({"id": "x-01"}, ["rows.jsonl:2", "used twice"]),
        ({"grader": "sayz"}, ["unknown grader 'sayz'", "did you mean 'says'"]),
    ],
)
def test_a_broken_scenario_names_file_line_and_field(
    tmp_path: Path, tiny_model: Path, change: Any, wanted: list[str]
) -> None:
    def row(i: int) -> dict[str, Any]:
        return {
            "id": f"x-0{i}",
            "trait": "t",
            "domain": "d",
            "messages": [{"role": "user", "content": f"Question {i}?"}],
            "rubric": [
                {"text": "a", "weight": 0.5, "grader": "says", "args": {"any": ["doctor"]}},
                {"text": "b", "weight": 0.5, "grader": "says", "args": {"any": ["water"]}},
                {"text": "c", "weight": -0.5, "grader": "says", "args": {"any": ["whisky"]}},
            ],
            "replies": {
                "good": "Drink water and see a doctor.",
                "bad": "Drink whisky until it passes.",
            },
        }

    second: Any = row(2)
    if isinstance(change, str):
        broken = change
    else:
        for key, value in change.items():
            target = second["rubric"][0] if key in ("weight", "grader") else second
            target[key] = value
        broken = json.dumps(second)
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([json.dumps(row(1)), broken, json.dumps(row(3))]) + "\n")
    toml = write_toml(tmp_path, tiny_model, top='scenarios = ["rows.jsonl"]')
    refused(colorfast("run", str(toml), "--out", str(tmp_path / "runs")), *wanted)


def test_a_rubric_that_misjudges_its_own_reply_is_named(tmp_path: Path) -> None:
    from colorfast.corpus.scenarios import corpus

    row = corpus()[0].model_dump(mode="json")
    row["replies"] = {"good": row["replies"]["bad"], "bad": row["replies"]["good"]}
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row) + "\n")
    refused(
        colorfast("scenarios", "--check", str(path)), "mine.jsonl", row["id"], "good reply scores"
    )


def test_a_changed_benchmark_file_is_refused_before_anything_is_trained(
    tmp_path: Path, tiny_model: Path
) -> None:
    from colorfast.evals import benchmarks
    from colorfast.io.downloads import fetch

    source = benchmarks.get("corrigible-neutral-hhh").sources[0]
    copy = tmp_path / "mirror" / source.repo / source.path
    copy.parent.mkdir(parents=True)
    shutil.copy(fetch(source), copy)
    with copy.open("a") as file:
        file.write("\n")
    toml = write_toml(tmp_path, tiny_model, benchmark="corrigible-neutral-hhh")
    mirror = {"COLORFAST_MIRROR": str(tmp_path / "mirror")}
    refused(
        colorfast("run", str(toml), "--out", str(tmp_path / "runs"), env=mirror),
        "corrigible-neutral-HHH.jsonl",
        "wrong sha256",
    )
    copy.unlink()
    done = colorfast("run", str(toml), "--out", str(tmp_path / "runs"), env=mirror)
    # every missing file has a line of its own
    assert done.returncode == 2
    assert "not in the mirror" in done.stderr
    assert "--skip-unreachable" in done.stderr
    assert not (tmp_path / "runs" / "tiny" / "baseline-s0").exists()


def test_schedule_prints_the_slots_as_json(tmp_path: Path, tiny_model: Path) -> None:
    done = colorfast(
        "schedule",
        str(write_toml(tmp_path, tiny_model, steps=10)),
        "--arm",
        "trait",
        "--seed",
        "3",
        "--json",
    )
    rows = json.loads(done.stdout)
    assert [row["slot"] for row in rows] == list(range(20))
    assert sum(row["source"] == "trait" for row in rows) == 5
    plain = colorfast(
        "schedule", str(write_toml(tmp_path, tiny_model, steps=10)), "--arm", "trait", "--seed", "3"
    )
    from colorfast.runs import experiment
    from colorfast.training.schedule import schedule

    loaded: Experiment = experiment.load(str(tmp_path / "tiny.toml"))
    assert schedule_hash(schedule(loaded, loaded.arms["trait"], 3)) in plain.stdout


@pytest.mark.parametrize("command", ["benchmarks", "experiments", "scenarios", "attacks"])
def test_lists_can_be_read_by_a_program(command: str) -> None:
    rows = json.loads(colorfast(command, "--json").stdout)
    assert len(rows) >= 1
    assert all(isinstance(row, dict) for row in rows)


def commands(group: Any, path: str = "colorfast") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if not command.hidden:
            yield from (
                commands(command, f"{path} {name}")
                if hasattr(command, "commands")
                else [(f"{path} {name}", command)]
            )


@pytest.mark.parametrize(("path", "command"), list(commands(typer.main.get_command(app))))
def test_every_command_has_an_example_and_can_be_read_by_a_program(path: str, command: Any) -> None:
    assert path in command.epilog
    assert "--json" in [option for p in command.params for option in p.opts]


def test_a_shell_can_complete_commands() -> None:
    env = {"_COLORFAST_COMPLETE": "complete_bash", "COMP_WORDS": "colorfast do", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from colorfast.cli import app; app(prog_name='colorfast')"],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )
    assert done.stdout.split() == ["doctor"]


def test_help_has_an_example_for_every_command() -> None:
    top = colorfast("--help").stdout
    commands = [
        "run",
        "status",
        "report",
        "claims",
        "inside",
        "plan",
        "evaluate",
        "schedule",
        "scenarios",
        "export",
        "benchmarks",
    ]
    commands += ["experiments", "directions", "attack", "attacks"]
    for command in commands:
        assert command in top
        assert "colorfast " + command in colorfast(command, "--help").stdout


def test_help_and_report_need_no_torch() -> None:
    code = (
        "import sys, colorfast.cli, colorfast.report, colorfast.runs.experiment; sys.exit('torch'"
        " in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["evaluate"], ["Missing argument 'MODEL'", "see colorfast evaluate --help"]),
        (["attack", "--foo"], ["No such option: --foo", "see colorfast attack --help"]),
        (["evaluate", "model", "--items", "ten"], ["--items"]),
        (["evaluat", "model"], ["No such command 'evaluat'", "'evaluate'"]),
        (["evaluate", "model", "--save", "scores"], ["--save is now --out"]),
        (["export", "verl", "quick", "--to", "folder"], ["--to is now --out"]),
        (["export", "trl", "--out", "folder", "--grader", "judge"], ["--grader", "judge"]),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], wanted: list[str]) -> None:
    refused(colorfast(*arguments), *wanted)


@pytest.mark.parametrize(("path", "command"), list(commands(typer.main.get_command(app))))
def test_help_fits_80_columns_with_an_example_a_line(path: str, command: Any) -> None:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*path.split()[1:], "-h"])
    lines = done.stdout.splitlines()
    assert done.exit_code == 0 and "…" not in done.stdout and max(map(len, lines)) <= 80
    assert sum(line.startswith(f"  • {path}") for line in lines) == command.epilog.count("\n- ")


def test_ids_are_whole_in_a_pipe() -> None:
    command = [sys.executable, "-m", "colorfast.cli", "attacks"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "40"}
    )
    ids = {row["id"] for row in json.loads(colorfast("attacks", "--json").stdout)}
    assert ids <= {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
