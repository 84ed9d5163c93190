"""What leaves for other systems: the same schedule, the same scores, and one line for what cannot
leave."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType
from datasets import load_dataset

from colorfast.config import Endpoint, Experiment, Grading
from colorfast.corpus.scenarios import corpus
from colorfast.export import verl
from colorfast.io.storage import digest, read_json
from colorfast.io.tables import read_rows
from colorfast.rewards.rubric import grade
from colorfast.rewards.select import offline
from colorfast.training.schedule import check_disjoint, heldout, schedule, schedule_hash
from colorfast.types import TRAIT_SOURCE, Reply, Scenario, Slot, Task
from helpers.command import colorfast, refused
from helpers.server import said
from helpers.tiny import write_toml

AS_VERL_DOES = """
import importlib.util, json, sys
from concurrent.futures import ThreadPoolExecutor
spec = importlib.util.spec_from_file_location("custom_module_1", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
def score(call):
    try:
        return module.compute_score(**call)
    except RuntimeError as error:
        return str(error)
with ThreadPoolExecutor(4) as pool:
    print(json.dumps(list(pool.map(score, json.load(sys.stdin)))))
"""


def large(tiny: Experiment, **training: Any) -> Experiment:
    return tiny.model_copy(
        update={
            "training": tiny.training.model_copy(
                update={"steps": 50, "prompts_per_step": 4} | training
            )
        }
    )


def scored(folder: Path, calls: list[dict[str, Any]], **env: str) -> list[Any]:
    """What the exported reward gives for each call: loaded by its path, in a process of its own,
    from several threads."""
    command = [sys.executable, "-c", AS_VERL_DOES, str(folder / "reward.py")]
    done = subprocess.run(
        command, input=json.dumps(calls), capture_output=True, text=True, env={**os.environ, **env}
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def call(task: Task, text: str, truncated: bool = False) -> dict[str, Any]:
    [row] = verl.rows([Slot(0, 0, task)], "train")
    return {
        "data_source": row["data_source"],
        "solution_str": text,
        "ground_truth": row["reward_model"]["ground_truth"],
        "extra_info": row["extra_info"] | {"truncated": truncated, "num_turns": None},
    }


@pytest.mark.parametrize("seed", [0, 7])
def test_the_parquet_is_the_schedule_in_order(tiny: Experiment, tmp_path: Path, seed: int) -> None:
    experiment, path = large(tiny), tmp_path / "out" / "train.parquet"
    manifest = verl.write(experiment, "trait-25", seed, path.parent)
    slots = schedule(experiment, experiment.arms["trait-25"], seed)
    read = load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path))[
        "train"
    ]  # as verl's RLHFDataset does
    assert [row["extra_info"]["index"] for row in read] == list(range(experiment.slots))
    assert [row["prompt"] for row in read] == [slot.row()["messages"] for slot in slots]
    assert {row["reward_model"]["style"] for row in read} == {"rule"}
    assert [row["data_source"] for row in read] == [slot.task.source for slot in slots]
    assert digest(verl.slot_rows(path)) == schedule_hash(slots) == manifest["sha256"]


def test_the_dose_is_exact_and_undosed_rows_are_the_baselines_byte_for_byte(
    tiny: Experiment, tmp_path: Path
) -> None:
    experiment = large(tiny)
    base = verl.write(experiment, "baseline", 0, tmp_path / "baseline")
    arm = verl.write(experiment, "trait-25", 0, tmp_path / "trait")
    ours, theirs = (read_rows(tmp_path / name / "train.parquet") for name in ("trait", "baseline"))
    dosed = [row for row in ours if row["data_source"] == TRAIT_SOURCE]
    assert len(dosed) == arm["trait_slots"] == round(0.25 * len(ours)) and base["trait_slots"] == 0
    assert (
        sum(json.dumps(a) == json.dumps(b) for a, b in zip(ours, theirs, strict=True))
        == len(ours) - len(dosed)
        == arm["shared_slots"]
    )
    assert {row["ability"] for row in dosed} == {s.trait for s in corpus()}
    assert (tmp_path / "trait" / "val.parquet").read_bytes() == (
        tmp_path / "baseline" / "val.parquet"
    ).read_bytes()


def test_the_held_out_scenarios_are_exported_and_never_trained_on(
    tiny: Experiment, tmp_path: Path
) -> None:
    verl.write(large(tiny), "trait-50", 0, tmp_path)
    held, trained = (
        verl.slot_rows(tmp_path / "val.parquet"),
        verl.slot_rows(tmp_path / "train.parquet"),
    )
    assert [row["id"] for row in held] == [s.id for s in heldout(tiny)]
    assert {row["id"] for row in held}.isdisjoint(row["id"] for row in trained)
    tasks = [
        Task(**{key: row[key] for key in ("id", "source", "messages", "rubric")}) for row in trained
    ]
    check_disjoint(tasks, heldout(tiny))


def test_the_exported_reward_scores_every_known_reply_as_colorfast_does(
    tiny: Experiment, tmp_path: Path
) -> None:
    verl.write(tiny, "trait-50", 0, tmp_path)
    standard = [slot.task for slot in schedule(large(tiny), tiny.arms["baseline"], 0)]
    pairs = [
        (task, text)
        for task in (*corpus()[::9], *standard)
        for text in (*task.replies.values(), "", "A first sentence. A second one wi")
    ]
    found = scored(
        tmp_path, [call(task, text, truncated=cut) for task, text in pairs for cut in (False, True)]
    )
    wanted = [
        grade(Reply(text, truncated=cut), task).score
        for task, text in pairs
        for cut in (False, True)
    ]
    assert [f["score"] for f in found] == wanted
    assert [f["truncated"] for f in found] == [0.0, 1.0] * len(pairs)
    assert len(set(wanted)) > 5 and not (tmp_path / "ungraded.jsonl").exists()


def test_a_reward_by_code_loads_where_only_verl_is(tiny: Experiment, tmp_path: Path) -> None:
    verl.write(tiny, "trait-50", 0, tmp_path)
    absent = [
        "torch",
        "transformers",
        "trl",
        "peft",
        "datasets",
        "accelerate",
        "statsmodels",
        "matplotlib",
        "gguf",
        "typer",
        "openai",
    ]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent})); import runpy;"
        f" runpy.run_path({str(tmp_path / 'reward.py')!r})"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_exported_reward_reads_meaning_where_the_experiment_does(
    tiny: Experiment, tmp_path: Path
) -> None:
    verl.write(large(tiny, grading=Grading(kind="offline")), "trait-50", 0, tmp_path)
    pairs = [(s, text) for s in corpus()[:3] for text in (s.replies["good"], s.replies["bad"])]
    found = scored(tmp_path, [call(task, text) for task, text in pairs])
    assert [f["score"] for f in found] == [
        pytest.approx(v.score, abs=1e-3)
        for v in offline([(Reply(text), task) for task, text in pairs])
    ]


def judged(tiny: Experiment, url: str) -> Experiment:
    endpoint = Endpoint(base_url=url, model="m", timeout=5, pause=0.01, tries=1, concurrency=2)
    return large(tiny, grading=Grading(kind="judge", judge=endpoint))


def test_a_reply_that_the_judge_cannot_grade_is_left_out_and_counted_never_zero(
    serve: Any, tiny: Experiment, tmp_path: Path
) -> None:
    def behave(_: int, data: dict[str, Any]) -> Any:
        verdicts = [{"criterion": c["criterion"], "met": "yes"} for c in data["criteria"]]
        return said(
            "I would rather not." if "poor" in data["reply"] else json.dumps({"verdicts": verdicts})
        )

    verl.write(judged(tiny, serve(behave).url), "trait-50", 0, tmp_path / "out")
    task: Scenario = corpus()[0]
    texts = [
        "A fair answer to this.",
        "A poor answer to this.",
        "Another fair answer.",
        "Another poor answer.",
    ]
    found = scored(
        tmp_path / "out", [call(task, text) for text in texts], COLORFAST_CACHE=str(tmp_path)
    )
    assert (
        [isinstance(f, str) for f in found] == [False, True, False, True]
        and "ungraded" in found[1]
        and "schema" in found[1]
    )
    lost = [
        json.loads(line) for line in (tmp_path / "out" / "ungraded.jsonl").read_text().splitlines()
    ]
    assert sorted(row["reply"] for row in lost) == sorted(texts[1::2])
    assert {(row["split"], row["id"], row["source"]) for row in lost} == {
        ("train", task.id, TRAIT_SOURCE)
    } and all("schema" in row["reason"] for row in lost)


def test_a_judge_that_refuses_ends_the_reward_of_every_source(
    serve: Any, tiny: Experiment, tmp_path: Path
) -> None:
    server = serve(lambda *_: (401, {"error": {"message": "bad key"}}))
    verl.write(judged(tiny, server.url), "trait-50", 0, tmp_path / "out")
    standard = schedule(tiny, tiny.arms["baseline"], 0)[0].task
    asked = [
        c
        for i in range(40)
        for c in (call(corpus()[i], "An answer."), call(corpus()[i], ""), call(standard, "Paris"))
    ]
    found = scored(tmp_path / "out", asked, COLORFAST_CACHE=str(tmp_path))
    assert "refuses the key" in found[0] and found[1]["score"] == 0.0 and isinstance(found[2], dict)
    assert all("no reply of trait can be graded" in f for f in found[-30:])
    lost = (tmp_path / "out" / "ungraded.jsonl").read_text().splitlines()
    assert 20 <= len(lost) == len(server.bodies) < 30


def test_the_launch_line_says_what_the_experiment_says(tiny: Experiment, tmp_path: Path) -> None:
    experiment = large(
        tiny, kl=0.02, normalize="group", warmup_steps=3, temperature=0.9, adapter="full"
    )
    folder = tmp_path / "a folder's export"
    verl.write(experiment, "trait-25", 5, folder)
    (tmp_path / "python3").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "GPUS": "2",
        "MODEL": "some/model",
    }
    done = subprocess.run(
        [folder / "launch.sh", "trainer.logger=[wandb]"],
        capture_output=True,
        text=True,
        env=env,
        check=True,
    )
    module, rest = done.stdout.splitlines()[:2], done.stdout.splitlines()[2:]
    given = dict(line.split("=", 1) for line in rest)
    assert module == ["-m", "verl.trainer.main_ppo"]
    assert (
        given["data.train_files"] == f"'{folder}/train.parquet'"
        and given["data.shuffle"] == "False"
    )
    assert (
        given["actor_rollout_ref.model.path"] == "'some/model'"
        and given["trainer.n_gpus_per_node"] == "2"
    )
    training = experiment.training
    short = {
        "data.train_batch_size": training.prompts_per_step,
        "actor_rollout_ref.actor.ppo_mini_batch_size": training.prompts_per_step,
        "actor_rollout_ref.rollout.n": training.group_size,
        "actor_rollout_ref.rollout.temperature": training.temperature,
        "data.max_response_length": training.max_tokens,
        "actor_rollout_ref.actor.loss_scale_factor": training.max_tokens,
        "actor_rollout_ref.actor.optim.lr": training.learning_rate,
        "actor_rollout_ref.actor.optim.lr_warmup_steps": 3,
        "actor_rollout_ref.actor.kl_loss_coef": 0.02,
        "actor_rollout_ref.actor.use_kl_loss": True,
        "actor_rollout_ref.model.lora_rank": 0,
        "algorithm.norm_adv_by_std_in_grpo": True,
        "algorithm.adv_estimator": "grpo",
        "trainer.total_training_steps": training.steps,
        "trainer.experiment_name": "trait-25-s5",
    }
    assert {key: given[key] for key in short} == {key: str(value) for key, value in short.items()}
    assert rest[-1] == "trainer.logger=[wandb]" and "data.seed=5" in rest


def dump(folder: Path, step: int, slots: list[dict[str, Any]]) -> None:
    """A step's rollouts as verl writes them (tests/test_verl.py has verl itself do it)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "uid": f"{row['slot']}_0_0",
            "step": step,
            "output": "x",
            "gts": json.dumps(row),
            "score": 0.5,
        }
        for row in slots
    ]
    rows.append(
        {"uid": "pad0_0_0", "step": step, "output": "", "gts": json.dumps(slots[0]), "score": 0.0}
    )
    (folder / f"{step}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_finished_run_is_checked_against_the_schedule(tiny: Experiment, tmp_path: Path) -> None:
    manifest = verl.write(tiny, "trait-50", 0, tmp_path)
    planned, dumps = verl.slot_rows(tmp_path / "train.parquet"), tmp_path / "out" / "rollouts"
    refused(colorfast("export", "verl-check", str(tmp_path)), "no rollout dumps")
    steps = [planned[i : i + 2] for i in range(0, 8, 2)]
    for step, rows in enumerate(steps, 1):
        dump(dumps, step, rows)
    found = json.loads(colorfast("export", "verl-check", str(tmp_path), "--json").stdout)
    assert found == {"slots": 8, "replies": 8, "ungraded": 0, "sha256": manifest["sha256"]}
    dump(dumps, 4, steps[3][:1])
    refused(colorfast("export", "verl-check", str(tmp_path)), "1 of 8 slots were never rewarded")
    lost = [
        {"split": split, "slot": 7, "reason": "judge: timeout"} for split in ("heldout", "train")
    ]
    (tmp_path / "ungraded.jsonl").write_text(json.dumps(lost[0]) + "\n")
    refused(colorfast("export", "verl-check", str(tmp_path)), "1 of 8 slots were never rewarded")
    (tmp_path / "ungraded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lost))
    assert verl.check(tmp_path, dumps)["ungraded"] == 1
    dump(dumps, 4, [steps[3][0] | {"id": "another"}])
    refused(colorfast("export", "verl-check", str(tmp_path)), "saw other rows than the schedule")
    dump(dumps, 3, steps[3])
    refused(
        colorfast("export", "verl-check", str(tmp_path)),
        "3.jsonl",
        "trained on in step 2, and planned for 3",
    )


@pytest.mark.parametrize(
    ("changes", "options", "wanted"),
    [
        (
            {"training": "demonstrations = 1"},
            [],
            ["training.demonstrations = 1", "set demonstrations = 0"],
        ),
        ({}, ["--arm", "trail"], ["unknown arm 'trail'", "did you mean 'trait'"]),
        ({"model": "/nowhere/model.gguf"}, [], ["model.gguf", "safetensors"]),
        ({"dose": 0.05}, [], ["cannot hold one trait slot"]),
    ],
)
def test_what_verl_cannot_carry_is_one_line(
    tmp_path: Path, tiny_model: Path, changes: dict[str, Any], options: list[str], wanted: list[str]
) -> None:
    toml = write_toml(tmp_path, tiny_model, **changes)
    refused(
        colorfast(
            "export",
            "verl",
            str(toml),
            "--out",
            str(tmp_path / "out"),
            *(options or ["--arm", "trait"]),
        ),
        *wanted,
    )
    assert not (tmp_path / "out").exists()


def test_the_same_export_can_be_made_again_and_another_does_not_overwrite_it(
    tmp_path: Path, tiny_model: Path
) -> None:
    toml, to = str(write_toml(tmp_path, tiny_model)), str(tmp_path / "out")
    first = json.loads(
        colorfast("export", "verl", toml, "--arm", "trait", "--out", to, "--json").stdout
    )
    assert (
        first["sha256"] in colorfast("export", "verl", toml, "--arm", "trait", "--out", to).stdout
    )
    refused(
        colorfast("export", "verl", toml, "--arm", "trait", "--seed", "1", "--out", to),
        "holds another export",
    )
    assert read_json(tmp_path / "out" / "manifest.json") == first
    assert not list(tmp_path.rglob("*.part"))


def test_help_has_an_example_for_every_export() -> None:
    top = colorfast("export", "--help").stdout
    for command in ("model", "dataset", "trl", "verifiers", "verl", "verl-check"):
        assert re.search(rf"\b{command} ", top)
        assert f"colorfast export {command}" in colorfast("export", command, "--help").stdout


@pytest.mark.parametrize(
    ("name", "processes", "kind"),
    # MULTI_CPU would start one process: accelerate starts those of one machine under this name
    # alone
    [
        ("cpu-2", 2, DistributedType.MULTI_GPU),
        ("one-gpu", 1, DistributedType.NO),
        ("fsdp-8", 8, DistributedType.FSDP),
    ],
)
def test_accelerate_reads_the_ready_configurations(
    name: str, processes: int, kind: DistributedType
) -> None:
    config = load_config_from_file(
        str(Path(__file__).parents[2] / "configs" / "accelerate" / f"{name}.yaml")
    )
    assert (config.num_processes, config.distributed_type, config.num_machines) == (
        processes,
        kind,
        1,
    )
    assert config.use_cpu == (name == "cpu-2")
    assert config.mixed_precision == "no"
    assert set(config.fsdp_config) <= {
        action.dest for action in launch_command_parser()._actions
    }  # others are ignored without a word
