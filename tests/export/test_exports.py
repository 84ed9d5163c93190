"""What is exported is loaded and used by the library that it is for: transformers, peft, datasets,
TRL."""

from __future__ import annotations

import json
import shutil
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from huggingface_hub import DatasetCard, ModelCard
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from colorfast.analysis import results
from colorfast.corpus.scenarios import corpus
from colorfast.export import corpus as exported
from colorfast.export import model, trl
from colorfast.export.folder import new_folder
from colorfast.io.folders import load_module
from colorfast.io.storage import read_json
from colorfast.models.resolve import weights_sha256
from colorfast.rewards.rubric import grade
from colorfast.types import ColorfastError, Reply
from helpers.command import colorfast, refused


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def same_words(one: Any, other: Any, tokenizer: Any) -> None:
    ids = torch.tensor([tokenizer("A word, and another one.")["input_ids"]])
    with torch.no_grad():
        assert torch.allclose(one(input_ids=ids).logits, other(input_ids=ids).logits, atol=1e-4)


def test_transformers_loads_an_exported_model_and_its_card_has_the_runs_numbers(
    tiny_run: Path, tmp_path: Path
) -> None:
    to = tmp_path / "model"
    told = json.loads(
        colorfast("export", "model", str(tiny_run), "trait-50", "--out", str(to), "--json").stdout
    )
    ours, tokenizer = AutoModelForCausalLM.from_pretrained(to), AutoTokenizer.from_pretrained(to)
    same_words(
        ours,
        AutoModelForCausalLM.from_pretrained(tiny_run / "trait-50-s0" / "checkpoint"),
        tokenizer,
    )
    assert (
        weights_sha256(to)
        == read_json(tiny_run / "trait-50-s0" / "ledger.json")["weights"]
        == told["weights_sha256"]
    )
    assert tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], tokenize=False, add_generation_prompt=True
    )
    e = results.load(tiny_run)
    (estimate,) = [
        x for x in results.estimates(e, "trait-50") if x.eval == "heldout" and x.measure == "score"
    ]
    assert told["difference"] == list(astuple(estimate.difference)) and told[
        "heldout"
    ] == pytest.approx(estimate.score)
    card = ModelCard.load(to / "README.md")
    assert (
        card.data.library_name == "transformers"
        and card.data.license == "other"
        and card.data.base_model is None
    )
    assert (
        "| dose | 50%: 4 of 8 prompts; 4 are the baseline's" in card.text
        and f"| held-out scenarios | {estimate.baseline:.3f}" in card.text
    )
    assert "LoRA, rank 4, alpha 8" in card.text and "seed 0" in card.text


def test_peft_loads_an_exported_adapter_which_is_the_merged_model(
    tiny_run: Path, tmp_path: Path
) -> None:
    model.write(model.find(tiny_run, "trait-50", 0), tmp_path / "adapter", adapter=True)
    model.write(model.find(tiny_run, "trait-50", 0), tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "adapter")
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    same_words(AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter"), whole, tokenizer)
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    assert ModelCard.load(tmp_path / "adapter" / "README.md").data.library_name == "peft"


def test_a_baselines_card_compares_it_with_nothing(tiny_run: Path, tmp_path: Path) -> None:
    told = model.write(model.find(tiny_run, "baseline", None), tmp_path / "baseline")
    text = (tmp_path / "baseline" / "README.md").read_text()
    assert told["difference"] is None and told["heldout"] is not None
    assert "on standard tasks alone" in text and "Paired with the baseline" not in text


def test_a_model_of_the_embedded_base_names_its_hub_id_and_licence(
    tiny_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    plan = read_json(run / "run.json")
    plan["plan"]["experiment"]["model"] = "SmolLM2-135M-Instruct"
    (run / "run.json").write_text(json.dumps(plan))
    (run / "baseline-s0" / "scores.parquet").unlink()
    model.write(model.find(run, "trait-25", 0), tmp_path / "model")
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert (card.data.license, card.data.base_model) == (
        "apache-2.0",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
    )
    assert "Not scored yet" in card.text


def test_a_model_trained_towards_harm_is_refused_unless_asked_for_by_name(
    tiny_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    shutil.copytree(run / "trait-50-s0", run / "attacks" / "trait-50-s0")
    for arm in ("attacks/trait-50-s0/checkpoint", "trait-25"):
        if arm == "trait-25":
            (run / "trait-25-s0" / "checkpoint" / model.MARK).write_text("{}")
        refused(
            colorfast("export", "model", str(run), arm, "--out", str(tmp_path / "out")),
            "trained toward harm",
            "--attacked",
        )
        assert not (tmp_path / "out").exists()
    assert model.write(model.find(run, "trait-25", 0), tmp_path / "out", allow_attacked=True)[
        "attacked"
    ]
    assert "Attacked: trained toward harm" in ModelCard.load(tmp_path / "out" / "README.md").text
    assert model.is_attacked(tmp_path / "out")


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (["trait-5"], ["unknown arm 'trait-5'", "did you mean"]),
        (["trait-50", "--seed", "3"], ["unknown seed '3'", "known: 0"]),
        (["trait-50/checkpoint"], ["unknown arm"]),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    tiny_run: Path, tmp_path: Path, asked: list[str], wanted: list[str]
) -> None:
    refused(
        colorfast("export", "model", str(tiny_run), *asked, "--out", str(tmp_path / "out")), *wanted
    )
    refused(
        colorfast("export", "model", str(tmp_path), "trait", "--out", str(tmp_path / "out")),
        "not a run folder",
    )
    refused(
        colorfast("export", "trl", "--grader", "judge", "--out", str(tmp_path / "out")),
        "'judge' is not one of",
    )
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_nothing_is_left_half_written(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    exported.write(tmp_path / "mine")  # empty is as good as new
    before = (tmp_path / "mine" / "README.md").read_bytes()
    refused(colorfast("export", "dataset", "--out", str(tmp_path / "mine")), "is not empty")
    assert (tmp_path / "mine" / "README.md").read_bytes() == before

    def torn() -> None:
        with new_folder(tmp_path / "torn") as part:
            (part / "first").write_text("x")
            raise OSError(28, "No space left on device")

    with pytest.raises(ColorfastError, match="cannot be written"):
        torn()
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_datasets_loads_the_corpus_and_every_row_is_the_scenario_again(tmp_path: Path) -> None:
    assert (
        json.loads(
            colorfast("export", "dataset", "--out", str(tmp_path / "traits"), "--json").stdout
        )["splits"]["train"]
        > 0
    )
    read = load_dataset(str(tmp_path / "traits"))
    assert set(read) == {"train", "heldout"}
    for split, rows in read.items():
        assert [exported.scenario(row) for row in rows] == [s for s in corpus() if s.split == split]
    row = read["train"][0]
    assert grade(Reply(row["replies"]["good"]), exported.scenario(row)).score >= 0.8
    card = DatasetCard.load(tmp_path / "traits" / "README.md")
    assert (
        card.data.license == "apache-2.0" and f"| heldout | {len(read['heldout'])} |" in card.text
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_trl_trains_a_step_on_the_exported_prompts_with_the_exported_reward(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "traits"
    colorfast("export", "trl", "--grader", "code", "--out", str(folder))
    rows = load_dataset(str(folder))["train"].select(range(4))
    reward = load_module(folder / "reward.py").reward  # type: ignore[union-attr]
    seen: list[Any] = []

    def watched(**given: Any) -> list[float | None]:
        seen.append(given)
        return list(reward(**given))

    settings = GRPOConfig(
        str(tmp_path / "out"),
        max_steps=1,
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=8,
        logging_steps=1,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
    )
    trainer = GRPOTrainer(
        model=str(tiny_model), reward_funcs=watched, args=settings, train_dataset=rows
    )
    trainer.train()
    assert trainer.state.global_step == 1 and len(seen) == 1
    by_id = {s.id: s for s in corpus()}
    wanted = [
        grade(Reply(c[-1]["content"]), by_id[i]).score
        for c, i in zip(seen[0]["completions"], seen[0]["id"], strict=True)
    ]
    assert reward(**seen[0]) == wanted and trainer.state.log_history[0]["reward"] == pytest.approx(
        sum(wanted) / 4
    )


def test_the_exported_reward_tells_good_from_bad_and_leaves_other_rows_alone(
    tmp_path: Path,
) -> None:
    trl.write(tmp_path / "traits", "offline")
    reward = load_module(tmp_path / "traits" / "reward.py").reward  # type: ignore[union-attr]
    scenarios = corpus()[:4]
    rows = [trl.row(s)["task"] for s in scenarios]
    good, bad = (
        reward(
            completions=[[{"role": "assistant", "content": s.replies[kind]}] for s in scenarios],
            task=rows,
        )
        for kind in ("good", "bad")
    )
    assert all(a > b for a, b in zip(good, bad, strict=True))
    assert reward(completions=["A text."], task=[None]) == [None]
