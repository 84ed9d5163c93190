"""An arm as a folder for verl, which trains it on a Ray cluster: ordered parquet, reward module,
launch line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from colorfast import __version__
from colorfast.config import Arm, Experiment
from colorfast.io.storage import digest, read_json, write_json, write_text
from colorfast.io.tables import read_rows, write_rows
from colorfast.io.validation import read_jsonl
from colorfast.models.resolve import EMBEDDED, HUB_ID
from colorfast.training.schedule import check_disjoint, heldout, schedule, summary
from colorfast.types import ColorfastError, Message, Scenario, Slot

VERL = "0.9.1"
"""The release whose data format, reward interface and settings these files follow."""
HOME = Path(__file__).parent
COPIED = ("reward.py", "manager.py")
"""What verl loads by file name on its reward workers; `reward.py` reads the manifest that lies
beside it."""
TEMPLATE_BYTES, MESSAGE_BYTES = 256, 32
"""Room for what a chat template adds: a system message of its own, and marks around each message.
"""
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        ("extra_info", pa.struct([("index", pa.int64()), ("split", pa.string())])),
    ]
)


def rows(slots: Sequence[Slot], split: str) -> list[dict[str, Any]]:
    """One row a slot, in order, as verl's RLHFDataset reads it. What a reply is graded against, the
    slot's whole row, is the ground truth: verl hands it to the reward and writes it into its dumps.
    """
    return [
        {
            "data_source": slot.task.source,
            "prompt": [m.model_dump() for m in slot.task.messages],
            "ability": slot.task.trait if isinstance(slot.task, Scenario) else slot.task.source,
            "reward_model": {
                "style": "rule",
                "ground_truth": json.dumps(slot.row(), ensure_ascii=False),
            },
            "extra_info": {"index": slot.index, "split": split},
        }
        for slot in slots
    ]


def carried(path: Path) -> list[dict[str, Any]]:
    """The slots' rows as verl will train on them: what is asked from the prompt column, all else
    from the ground truth."""
    return [
        json.loads(row["reward_model"]["ground_truth"]) | {"messages": row["prompt"]}
        for row in read_rows(path)
    ]


def prompt_room(slots: Sequence[Slot]) -> int:
    """A length in tokens that no prompt exceeds, in full 128s: no token is shorter than a byte."""

    def most(messages: Sequence[Message]) -> int:
        return TEMPLATE_BYTES + sum(len(m.content.encode()) + MESSAGE_BYTES for m in messages)

    return -(-max(most(slot.task.messages) for slot in slots) // 128) * 128


def settings(experiment: Experiment, arm: str, seed: int, room: int) -> dict[str, Any]:
    """verl's settings for ours, by their dotted names; `$NAME` is a variable of the launch script.
    `room`: see `prompt_room`."""
    training, evaluation = experiment.training, experiment.evaluation
    lora = training.lora_rank if training.method == "lora" else 0
    found: dict[str, Any] = {
        "data.train_files": "'$HERE/train.parquet'",
        "data.val_files": "'$HERE/val.parquet'",
        "data.shuffle": False,  # the order is the schedule
        "data.seed": seed,
        "data.filter_overlong_prompts": False,  # a row that is dropped moves all that follow
        "data.train_batch_size": training.prompts_per_step,
        "data.max_prompt_length": room,
        "data.max_response_length": training.max_tokens,
        "actor_rollout_ref.model.path": "'$MODEL'",
        "actor_rollout_ref.model.lora_rank": lora,
        "actor_rollout_ref.model.lora_alpha": 2 * lora,
        "actor_rollout_ref.model.target_modules": "all-linear",
        "actor_rollout_ref.actor.strategy": "fsdp2",
        "actor_rollout_ref.actor.ppo_mini_batch_size": (
            training.prompts_per_step
        ),  # one update a step
        "actor_rollout_ref.actor.ppo_epochs": 1,
        "actor_rollout_ref.actor.use_dynamic_bsz": True,
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu": max(16384, room + training.max_tokens),
        "actor_rollout_ref.actor.loss_agg_mode": "seq-mean-token-sum-norm",
        "actor_rollout_ref.actor.loss_scale_factor": training.max_tokens,
        "actor_rollout_ref.actor.entropy_coeff": 0,
        "actor_rollout_ref.actor.use_kl_loss": training.kl > 0,
        "actor_rollout_ref.actor.kl_loss_coef": training.kl,
        "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
        "actor_rollout_ref.actor.data_loader_seed": seed,
        "actor_rollout_ref.actor.fsdp_config.seed": seed,
        "actor_rollout_ref.actor.optim.lr": training.learning_rate,
        "actor_rollout_ref.actor.optim.lr_warmup_steps": training.warmup_steps,
        "actor_rollout_ref.actor.optim.lr_scheduler_type": "constant",
        "actor_rollout_ref.actor.optim.weight_decay": 0,
        "actor_rollout_ref.rollout.name": "vllm",
        "actor_rollout_ref.rollout.n": training.group_size,
        "actor_rollout_ref.rollout.temperature": training.temperature,
        "actor_rollout_ref.rollout.seed": seed,
        "actor_rollout_ref.rollout.load_format": "safetensors" if lora else "dummy",
        "actor_rollout_ref.rollout.tensor_model_parallel_size": "$TENSOR_PARALLEL",
        "actor_rollout_ref.rollout.val_kwargs.n": evaluation.samples,
        "actor_rollout_ref.rollout.val_kwargs.do_sample": evaluation.temperature > 0,
        "actor_rollout_ref.rollout.val_kwargs.temperature": evaluation.temperature,
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": training.normalize == "group",
        "algorithm.use_kl_in_reward": False,
        "algorithm.rollout_correction.rollout_is": "sequence",
        "algorithm.rollout_correction.rollout_is_threshold": (
            "'1e-9_3.0'"
        ),  # TRL's sequence_mask: none below, 3 above
        "reward.custom_reward_function.path": "'$HERE/reward.py'",
        "reward.custom_reward_function.name": "compute_score",
        "reward.reward_manager.source": "importlib",
        "reward.reward_manager.name": "CappedRewardManager",
        "reward.reward_manager.module.path": "'$HERE/manager.py'",
        "reward.num_workers": (
            1 if training.reward.judge else 8
        ),  # one holds the endpoint's concurrency
        "trainer.total_epochs": 1,
        "trainer.total_training_steps": training.steps,
        "trainer.save_freq": min(training.save_every, training.steps),
        "trainer.test_freq": training.steps,
        "trainer.val_before_train": True,
        "trainer.n_gpus_per_node": "$GPUS",
        "trainer.nnodes": "$NODES",
        "trainer.project_name": experiment.name,
        "trainer.experiment_name": f"{arm}-s{seed}",
        "trainer.logger": "[console]",
        "trainer.default_local_dir": "'$OUT/checkpoints'",
        "trainer.rollout_data_dir": "'$OUT/rollouts'",
        "trainer.validation_data_dir": "'$OUT/validation'",
    }
    return found


def _model(name: str) -> str:
    """What verl can load: a hub id or a folder. Raises ColorfastError for a GGUF file."""
    if name.endswith(".gguf"):
        raise ColorfastError(
            f"model {name!r}: verl reads safetensors; name a hub id or a folder that holds them"
        )
    local = Path(name).expanduser()
    return HUB_ID if name == EMBEDDED else str(local.resolve()) if local.is_dir() else name


def _launch(experiment: Experiment, chosen: dict[str, Any]) -> str:
    lines = " \\\n".join(f'  "{key}={value}"' for key, value in chosen.items())
    return f"""#!/usr/bin/env bash
# {experiment.name}/{chosen["trainer.experiment_name"]} for verl {VERL},
# written by colorfast {__version__}; append other settings
set -euo pipefail
HERE="$(cd "$(dirname "$0")" && pwd)"
OUT="${{OUT:-$HERE/out}}"
DEFAULT_MODEL={shlex.quote(_model(experiment.model))}
MODEL="${{MODEL:-$DEFAULT_MODEL}}"
GPUS="${{GPUS:-8}}"
NODES="${{NODES:-1}}"
TENSOR_PARALLEL="${{TENSOR_PARALLEL:-1}}"
exec python3 -m verl.trainer.main_ppo \\
{lines} \\
  "$@"
"""


def write(experiment: Experiment, arm: str, seed: int, folder: Path) -> dict[str, Any]:
    """Write one arm's folder: train.parquet, val.parquet, reward.py, manager.py, launch.sh and,
    last, manifest.json, which is returned.

    Raises ColorfastError for what verl cannot carry, and for a folder that holds another export.
    """
    if experiment.training.shown:
        raise ColorfastError(
            f"training.shown = {experiment.training.shown}: verl samples every reply itself; set"
            " shown = 0 to export"
        )
    slots, held = schedule(experiment, experiment.arms[arm], seed), heldout(experiment)
    check_disjoint([slot.task for slot in slots], held)
    manifest = {
        "arm": arm,
        "seed": seed,
        **summary(slots, schedule(experiment, Arm(dose=0), seed), experiment.arms[arm]),
        "heldout": len(held),
        "experiment": experiment.model_dump(mode="json"),
        "versions": {"colorfast": __version__, "verl": VERL},
    }
    path = folder / "manifest.json"
    if path.exists() and read_json(path) != manifest:
        raise ColorfastError(f"{folder}: holds another export; give another --to, or delete it")
    asked = [Slot(i, 0, scenario) for i, scenario in enumerate(held)]
    launch = _launch(experiment, settings(experiment, arm, seed, prompt_room([*slots, *asked])))
    write_rows(folder / "train.parquet", rows(slots, "train"), SCHEMA)
    write_rows(folder / "val.parquet", rows(asked, "heldout"), SCHEMA)
    for name in COPIED:
        write_text(folder / name, (HOME / name).read_text(encoding="utf-8"))
    write_text(folder / "launch.sh", launch)
    (folder / "launch.sh").chmod(0o755)
    write_json(path, manifest)
    return manifest


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    yield from (row for _, row in read_jsonl(path)) if path.exists() else ()


def check(folder: Path, dumps: Path) -> dict[str, Any]:
    """Compare the slots that the rewards of a run saw, by verl's rollout dumps, with the export.
    Returns counts and both hashes.

    Raises ColorfastError when there is no dump, a slot stood in another step than planned, or never
    came to the reward.
    """
    manifest, planned = read_json(folder / "manifest.json"), carried(folder / "train.parquet")
    dumped = [(path, row) for path in sorted(dumps.glob("*.jsonl")) for row in _jsonl(path)]
    replies = [
        (path, row) for path, row in dumped if not row["uid"].startswith("pad")
    ]  # verl fills a batch up with rows of no weight
    if not replies:
        raise ColorfastError(
            f"{dumps}: no rollout dumps of verl here; it writes them while it trains"
            " (trainer.rollout_data_dir)"
        )
    seen: dict[int, dict[str, Any]] = {}
    for path, reply in replies:
        row = json.loads(reply["gts"])
        seen[row["slot"]] = row
        if row["step"] != reply["step"] - 1:  # verl counts from 1
            raise ColorfastError(
                f"{path}: slot {row['slot']} was trained on in step {reply['step'] - 1}, and"
                f" planned for {row['step']}"
            )
    lost = [row for row in _jsonl(folder / "ungraded.jsonl") if row["split"] == "train"]
    seen = {
        planned[row["slot"]]["slot"]: planned[row["slot"]] for row in lost
    } | seen  # a group that no one could grade is in no dump
    missing = [row["slot"] for row in planned if row["slot"] not in seen]
    if missing:
        raise ColorfastError(
            f"{dumps}: {len(missing)} of {len(planned)} slots were never rewarded, the first is"
            f" {missing[0]}"
        )
    found = digest([seen[row["slot"]] for row in planned])
    if found != manifest["sha256"]:
        raise ColorfastError(f"{dumps}: the rewards saw other rows than the schedule")
    return {"slots": len(seen), "replies": len(replies), "ungraded": len(lost), "sha256": found}
