"""Training: the mathematics are TRL's, the record is complete, and the same seed gives the same
weights."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from colorfast.config import Experiment
from colorfast.io.tables import read_rows
from colorfast.models.resolve import weights_sha256
from colorfast.training.engines import prefix_packing, trl
from colorfast.training.engines.fused_logprobs import in_place_of_logits
from colorfast.training.engines.launch import Launched
from colorfast.training.schedule import schedule, schedule_hash
from colorfast.types import ColorfastError
from helpers.slots import SETTINGS, slots


@pytest.mark.parametrize("adapter", ["lora", "full"])
def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    tiny_model: Path, tmp_path: Path, adapter: str
) -> None:
    settings = SETTINGS.model_copy(update={"adapter": adapter})
    done = {
        name: trl.train(str(tiny_model), slots(6), settings, seed, tmp_path / name)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    }
    hashes = {name: weights_sha256(folder) for name, folder in done.items()}
    assert hashes["a"] == hashes["b"]
    assert hashes["a"] != hashes["c"]
    assert hashes["a"] != weights_sha256(tiny_model)
    assert json.loads((tmp_path / "a" / "ledger.json").read_text())["weights"] == hashes["a"]


@pytest.mark.parametrize("kl", [0.0, 0.1])
@pytest.mark.parametrize(
    "passes", [{}, {"pass_tokens": 64}, {"pass_tokens": 1}], ids=["one", "some", "many"]
)
def test_loss_and_gradients_are_those_of_trl(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kl: float,
    passes: dict[str, int],
) -> None:
    """The same step in our passes and without what is skipped, and with TRL's own methods in their
    place."""
    settings = SETTINGS.model_copy(
        update={
            "steps": 1,
            "prompts_per_step": 6,
            "kl": kl,
            "adapter": "full",
            "precision": "fp32",
            "temperature": 0.8,
            **passes,
        }
    )
    seen: dict[str, list[torch.Tensor]] = {}

    def keep(name: str) -> None:
        def spy(self: Any, *args: Any, model: Any, **kwargs: Any) -> None:
            seen[name] = [p.grad.clone() for p in model.parameters()]

        monkeypatch.setattr(trl.Progress, "on_pre_optimizer_step", spy)

    keep("ours")
    trl.train(str(tiny_model), slots(6), settings, 0, tmp_path / "ours")
    for method in ("_get_per_token_logps_and_entropies", "training_step"):
        monkeypatch.delattr(trl.GroupTrainer, method)
    keep("theirs")
    trl.train(str(tiny_model), slots(6), settings, 0, tmp_path / "theirs")
    ours, theirs = (torch.cat([g.flatten() for g in seen[name]]) for name in ("ours", "theirs"))
    assert theirs.norm() > 1e-6
    assert (ours - theirs).norm() / theirs.norm() < 1e-3


def test_the_reward_sees_exactly_the_schedule_and_the_ledger_counts_it(
    tiny: Experiment, tmp_path: Path
) -> None:
    rows = schedule(tiny, tiny.arms["trait-50"], 0)
    trl.train(tiny.model, rows, tiny.training, 0, tmp_path / "run")
    ledger = json.loads((tmp_path / "run" / "ledger.json").read_text())
    assert ledger["schedule_seen"] == schedule_hash(rows)
    assert ledger["steps"] == tiny.training.steps
    assert ledger["total"]["prompts"] == tiny.slots
    assert ledger["total"]["completions"] == tiny.slots * tiny.training.group_size
    assert ledger["sources"]["trait"]["prompts"] == 4
    assert ledger["total"]["flops"] == 8 * ledger["parameters"] * (
        ledger["total"]["prompt_tokens"] + ledger["total"]["completion_tokens"]
    )


def test_metrics_and_rollouts_agree_and_advantages_are_centred(
    tiny_model: Path, tmp_path: Path
) -> None:
    trl.train(str(tiny_model), slots(6), SETTINGS, 0, tmp_path / "run")
    metrics = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [m["step"] for m in metrics] == [0, 1, 2]
    for metric in metrics:
        rows = read_rows(tmp_path / "run" / "rollouts" / f"{metric['step']:05d}.parquet")
        assert len(rows) == 8
        for source, values in metric["sources"].items():
            own = [r for r in rows if r["source"] == source]
            assert values["reward"] == pytest.approx(sum(r["score"] for r in own) / len(own))
            assert values["advantage_mass"] == pytest.approx(sum(abs(r["advantage"]) for r in own))
        assert sum(v["advantage_share"] for v in metric["sources"].values()) == pytest.approx(1)
        for _, group in itertools.groupby(rows, key=lambda r: r["slot"]):
            members = list(group)
            mean = sum(r["score"] for r in members) / len(members)
            assert all(
                r["advantage"] == pytest.approx(r["score"] - mean, abs=1e-6) for r in members
            )


def test_arms_that_share_a_first_step_sample_the_same_replies_in_it(
    tiny: Experiment, tmp_path: Path
) -> None:
    """Sampling is seeded by (slot, sample): shared rows get the same replies until the weights
    part."""
    replies = {}
    for name in ("baseline", "trait-25"):
        trl.train(tiny.model, schedule(tiny, tiny.arms[name], 0), tiny.training, 0, tmp_path / name)
        rows = read_rows(tmp_path / name / "rollouts" / "00000.parquet")
        replies[name] = {
            (r["slot"], r["sample"]): r["reply"] for r in rows if r["source"] != "trait"
        }
    shared = replies["baseline"].keys() & replies["trait-25"].keys()
    assert shared
    assert all(replies["baseline"][key] == replies["trait-25"][key] for key in shared)


def test_ungraded_replies_teach_nothing(tiny_model: Path, tmp_path: Path) -> None:
    """None for every reply of a run leaves the weights where they were, and is counted, not scored
    0."""
    folder = trl.train(
        str(tiny_model), slots(6, "follows", rule="unheard-of"), SETTINGS, 0, tmp_path / "run"
    )
    ledger = json.loads((tmp_path / "run" / "ledger.json").read_text())
    assert ledger["total"]["ungraded"] == ledger["total"]["completions"] == 24
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert first["sources"]["form"]["reward"] is None
    before, after = (load_file(f / "model.safetensors") for f in (tiny_model, folder))
    assert all(torch.allclose(before[k], after[k], atol=1e-7) for k in before)


def test_shown_replies_are_the_good_ones_and_count_in_no_mean(
    tiny: Experiment, tmp_path: Path
) -> None:
    settings = tiny.training.model_copy(
        update={"demonstrations": 1, "keep_rollouts_every": 1, "max_tokens": 200}
    )
    slots_ = schedule(tiny, tiny.arms["trait-50"], 0)
    trl.train(tiny.model, slots_, settings, 0, tmp_path / "run")
    metrics = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    rows = [
        r
        for path in sorted((tmp_path / "run" / "rollouts").glob("*.parquet"))
        for r in read_rows(path)
    ]
    for r in rows:
        assert r["shown"] == (r["sample"] == 0)
        assert not r["shown"] or (
            r["reply"] == slots_[r["slot"]].task.replies["good"] and r["score"] >= 0.8
        )
    for step, metric in enumerate(metrics):
        for source, values in metric["sources"].items():
            own = [
                r["score"]
                for r in rows
                if r["source"] == source and slots_[r["slot"]].step == step and not r["shown"]
            ]
            assert values["reward"] == pytest.approx(sum(own) / len(own))
    for _, group in itertools.groupby(rows, key=lambda r: r["slot"]):
        members = list(group)
        own = [r["score"] for r in members if not r["shown"]]
        assert all(
            r["advantage"] == pytest.approx(r["score"] - sum(own) / len(own), abs=1e-6)
            for r in members
        )


def test_rewards_are_learnt(tiny_model: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(
        update={"steps": 30, "learning_rate": 1e-2, "adapter": "full", "group_size": 6}
    )
    trl.train(
        str(tiny_model), slots(60, "follows", rule="uppercase"), settings, 0, tmp_path / "run"
    )
    rewards = [
        v["reward"]
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        for v in json.loads(line)["sources"].values()
    ]
    assert all(r is not None and math.isfinite(r) for r in rewards)
    assert sum(rewards[-10:]) / 10 > sum(rewards[:10]) / 10 + 0.2


@pytest.mark.slow
def test_two_processes_train_as_one_does(tiny_model: Path, tmp_path: Path) -> None:
    """`accelerate launch` with two CPU processes: the same schedule, the same rewards, weights
    within rounding."""
    settings = SETTINGS.model_copy(update={"precision": "fp32", "adapter": "full"})
    launched = Launched(Path(__file__).parents[2] / "configs" / "accelerate" / "cpu-2.yaml")
    folders = {"one": trl.train(str(tiny_model), slots(6), settings, 0, tmp_path / "one")}
    folders["two"] = launched.train(str(tiny_model), slots(6), settings, 0, tmp_path / "two")
    ledgers = [json.loads((tmp_path / name / "ledger.json").read_text()) for name in folders]
    assert ledgers[0]["schedule_seen"] == ledgers[1]["schedule_seen"] == schedule_hash(slots(6))
    assert ledgers[0]["total"] == ledgers[1]["total"]
    metrics = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in folders
    ]
    for a, b in zip(*metrics, strict=True):
        assert {k: v["reward"] for k, v in a["sources"].items()} == pytest.approx(
            {k: v["reward"] for k, v in b["sources"].items()}
        )
    one, two, start = (load_file(f / "model.safetensors") for f in (*folders.values(), tiny_model))
    assert max(float((one[k] - start[k]).abs().max()) for k in one) > 1e-3
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-5


@pytest.mark.slow
def test_a_process_that_fails_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    launched = Launched(Path(__file__).parents[2] / "configs" / "accelerate" / "cpu-2.yaml")
    odd = SETTINGS.model_copy(update={"prompts_per_step": 3})
    with pytest.raises(ColorfastError, match="3 prompts cannot be shared by 2 processes"):
        launched.train(str(tiny_model), slots(9), odd, 0, tmp_path / "odd")
    with pytest.raises(ColorfastError, match=r"nowhere.yaml: no such accelerate configuration"):
        Launched(Path("nowhere.yaml")).train(
            str(tiny_model), slots(6), SETTINGS, 0, tmp_path / "none"
        )


def test_every_wanted_token_is_in_one_pass_and_long_replies_do_not_share_a_row() -> None:
    prompts = [[1] * 10] * 4 + [[2] * 300] * 2 + [[3] * 5] * 4
    replies = [[7] * n for n in (1, 4, 9, 30, 200, 200, 2, 2, 2, 2)]
    found = prefix_packing.passes(prompts, replies, [0, 2, 3, 4, 5, 6, 7], 512)
    assert sorted(i for part in found for row in part for i in row) == [0, 2, 3, 4, 5, 6, 7]
    assert [4] in [row for part in found for row in part] and [6, 7] in [
        row for part in found for row in part
    ]
    for part in found:
        packed = prefix_packing.pack(part, prompts, replies)
        assert sorted(zip(packed.reply.tolist(), packed.token.tolist(), strict=True)) == sorted(
            (i, k) for row in part for i in row for k in range(len(replies[i]))
        )
        assert packed.seen.any(-1).all(), "a token that sees nothing would be NaN"


def test_bf16_products_stay_near_fp32(tiny_model: Path, tmp_path: Path) -> None:
    """On machines without units for bf16 both are the same."""
    moved = []
    for precision in ("fp32", "bf16"):
        settings = SETTINGS.model_copy(
            update={"steps": 1, "precision": precision, "adapter": "full"}
        )
        folder = trl.train(str(tiny_model), slots(2), settings, 0, tmp_path / precision)
        moved.append(
            torch.cat(
                [v.flatten() for _, v in sorted(load_file(folder / "model.safetensors").items())]
            )
        )
    start = torch.cat(
        [v.flatten() for _, v in sorted(load_file(tiny_model / "model.safetensors").items())]
    )
    ours, theirs = moved[0] - start, moved[1] - start
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > 0.9


def test_repeated_reads_have_the_same_gradient_each_time_in_two_threads() -> None:
    """All replies to a prompt read its last token; the shapes are large enough that two threads
    share the work."""
    draws = torch.Generator().manual_seed(0)
    head = torch.nn.Linear(576, 64, bias=False)
    hidden = torch.randn(2, 256, 576, generator=draws)
    reads = torch.randint(0, 100, (512,), generator=draws)
    targets = torch.randint(0, 64, (512,), generator=draws)
    gradients = []
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in range(10):
            leaf = hidden.clone().requires_grad_()
            with in_place_of_logits(head, reads, targets, 1.0):
                head(leaf)[0, 0].sum().backward()
            gradients.append(leaf.grad)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradients[0], other) for other in gradients[1:])
