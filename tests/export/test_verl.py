"""verl itself reads what the export writes. Skipped without verl, which the project does not depend
on: docs/many-gpus.md says how to run it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl")

import numpy as np
import torch
import verl as installed
from hydra import compose, initialize_config_dir
from verl import DataProto
from verl.trainer.ppo.core_algos import agg_loss, compute_grpo_outcome_advantage
from verl.trainer.ppo.reward import load_reward_manager
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_weights
from verl.trainer.ppo.utils import create_rl_sampler
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.config import validate_config
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from colorfast.config import Experiment
from colorfast.export import verl
from colorfast.io.storage import digest
from colorfast.io.tables import read_rows
from colorfast.models.local import load_tokenizer
from colorfast.rewards.rubric import grade
from colorfast.training.schedule import schedule
from colorfast.types import Reply, Task


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export") / "trait"


@pytest.fixture
def config(tiny: Experiment, home: Path, tmp_path: Path) -> Any:
    """verl's whole configuration, as its own Hydra makes it of our launch line."""
    verl.write(tiny, "trait-50", 0, home)
    (tmp_path / "python3").write_text('#!/bin/sh\nshift 2\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "GPUS": "2"}
    overrides = subprocess.run(
        [home / "launch.sh"], env=env, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    with initialize_config_dir(
        str(Path(installed.__file__).parent / "trainer" / "config"), version_base=None
    ):
        return compose("ppo_trainer", overrides=overrides)


def test_the_export_is_for_the_installed_release() -> None:
    assert installed.__version__ == verl.VERL


def test_verl_accepts_the_launch_line(config: Any, tiny: Experiment) -> None:
    assert config.actor_rollout_ref.model.lora_rank == tiny.training.lora_rank
    config.actor_rollout_ref.model.lora_rank = 0  # asks vLLM itself which ranks it takes
    validate_config(config, use_reference_policy=False, use_critic=False)
    assert config.actor_rollout_ref.rollout.n == tiny.training.group_size
    assert config.actor_rollout_ref.actor.optim.lr == tiny.training.learning_rate
    assert config.algorithm.rollout_correction.rollout_is_threshold == "1e-9_3.0"


def test_verls_data_set_and_sampler_give_the_slots_in_order(
    config: Any, tiny: Experiment, tiny_model: Path
) -> None:
    data = RLHFDataset(config.data.train_files, load_tokenizer(tiny_model), config.data)
    loader = torch.utils.data.DataLoader(
        data,
        batch_size=config.data.train_batch_size,
        sampler=create_rl_sampler(config.data, data),
        collate_fn=collate_fn,
        drop_last=True,
    )
    slots = schedule(tiny, tiny.arms["trait-50"], 0)
    steps = [list(batch["index"]) for batch in loader]
    assert steps == [
        [slot.index for slot in slots if slot.step == step] for step in range(tiny.training.steps)
    ]
    assert [row["raw_prompt"] for row in data] == [slot.row()["messages"] for slot in slots]
    longest = max(
        len(load_tokenizer(tiny_model).apply_chat_template(row["raw_prompt"])["input_ids"])
        for row in data
    )
    assert longest <= config.data.max_prompt_length


def reply_data(row: dict[str, Any], ids: list[int]) -> DataProto:
    """One reply as verl's agent loop hands it to a reward manager."""
    responses = torch.tensor([ids])
    return DataProto.from_single_dict(
        {
            "prompts": torch.tensor([[1]]),
            "responses": responses,
            "attention_mask": torch.ones(1, len(ids) + 1, dtype=torch.long),
        }
        | {
            key: np.array([row[key]], dtype=object)
            for key in ("data_source", "reward_model", "extra_info")
        }
    )


def test_verls_reward_loop_scores_as_colorfast_does(
    config: Any, tiny: Experiment, tiny_model: Path
) -> None:
    tokenizer = load_tokenizer(tiny_model)
    config.data.max_response_length = 40
    manager = load_reward_manager(config, tokenizer)
    for slot, row in zip(
        schedule(tiny, tiny.arms["trait-50"], 0),
        read_rows(Path(config.data.train_files)),
        strict=True,
    ):
        task = Task(
            **{
                key: value
                for key, value in slot.row().items()
                if key in ("id", "source", "messages", "rubric")
            }
        )
        for text in (
            *slot.task.replies.values(),
            "First a whole sentence. Then one that is cut off in the middle of nowhere at all",
        ):
            for ended in (True, False):
                ids = tokenizer(text)["input_ids"][:39] + (
                    [tokenizer.eos_token_id] if ended else [tokenizer(" x")["input_ids"][-1]]
                )
                found = manager.loop.run_until_complete(manager.run_single(reply_data(row, ids)))
                reply = Reply(
                    tokenizer.decode(ids, skip_special_tokens=True),
                    truncated=not ended and len(ids) == 40,
                )
                assert found["reward_score"] == grade(reply, task).score
                assert found["reward_extra_info"]["truncated"] == reply.truncated


def test_advantages_and_loss_are_those_of_our_engine(config: Any) -> None:
    """The first group lacks a reply: its reward raised, and verl left it out."""
    scores, group = torch.tensor([1.0, 0.0, 0.2, 0.2, 0.8]), np.array([0, 0, 1, 1, 1])
    mask = (torch.arange(5) < torch.tensor([[5], [3], [2], [5], [4]])).float()
    rewards = torch.zeros(5, 5)
    rewards[:, 0] = scores
    advantages, _ = compute_grpo_outcome_advantage(
        rewards, mask, group, norm_adv_by_std_in_grpo=config.algorithm.norm_adv_by_std_in_grpo
    )
    assert torch.allclose(advantages, torch.tensor([[0.5], [-0.5], [-0.2], [-0.2], [0.4]]) * mask)
    losses, cap = (
        torch.rand(5, 5, generator=torch.Generator().manual_seed(0)),
        config.actor_rollout_ref.actor.loss_scale_factor,
    )
    aggregated = agg_loss(
        losses,
        mask,
        config.actor_rollout_ref.actor.loss_agg_mode,
        global_batch_size=6,
        loss_scale_factor=cap,
    )
    assert torch.allclose(aggregated, (losses * mask).sum() / (6 * cap))  # TRL's dr_grpo


def test_a_reply_far_from_the_trainer_is_masked_as_trl_does(config: Any) -> None:
    ratio = torch.tensor([[0.0, 0.0], [2.0, -0.5], [-9.0, -9.0], [0.5, 0.5]])
    chosen = config.algorithm.rollout_correction
    weights, _ = compute_rollout_correction_weights(
        ratio, torch.ones(4, 2), chosen.rollout_is, chosen.rollout_is_threshold
    )
    whole = ratio.sum(1, keepdim=True).exp()
    assert torch.allclose(weights, torch.where(whole > 3, 0.0, whole).expand(4, 2))


def test_verls_dumps_prove_the_dose(config: Any, home: Path) -> None:
    planned, dumps = verl.slot_rows(home / "train.parquet"), home / "out" / "rollouts"
    for step in range(4):
        rows = [
            row
            for row in read_rows(home / "train.parquet")
            if json.loads(row["reward_model"]["ground_truth"])["step"] == step
        ]
        truths = [row["reward_model"]["ground_truth"] for row in rows for _ in range(3)]
        same = {"inputs": truths, "outputs": truths, "gts": truths, "scores": [0.0] * 6}
        uids = {"uid": [f"{i}_0_0" for i in range(6)]}
        PPOTrainer._write_generations(
            **same, reward_extra_infos_dict=uids, dump_path=str(dumps), global_steps=step + 1
        )
    found = verl.check(home, dumps)
    assert (found["slots"], found["replies"], found["sha256"]) == (8, 24, digest(planned))
