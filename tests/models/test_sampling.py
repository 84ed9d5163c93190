"""Sampling and scoring agree with the library's own paths, and each reply has its own
randomness."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from colorfast.models import prompts
from colorfast.models.cpu_linear import packed_linears
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.models.prompts import shared_prefix
from colorfast.models.sampling import pick, sample
from colorfast.models.scoring import score
from colorfast.types import ColorfastError, Message


def ask(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


@pytest.fixture(scope="module")
def policy(tiny_model: Path) -> LocalPolicy:
    return load_policy(str(tiny_model))


PROMPTS = ("What is the dose?", "Why is the sky blue at noon and red at dusk?", "No.")


def test_greedy_tokens_equal_those_of_generate(policy: LocalPolicy) -> None:
    prompts = [policy.encode(ask(p)) for p in PROMPTS]
    ours = sample(policy.model, prompts, torch.zeros(len(prompts), 12), 0, policy.stops)
    for prompt, tokens in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = policy.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
        )
        assert tokens == theirs[0, len(prompt) :].tolist()


@pytest.mark.parametrize("adapted", [False, True])
def test_packed_weights_give_the_same_logits_and_leave_no_trace(
    tiny_model: Path, adapted: bool
) -> None:
    policy = load_policy(str(tiny_model))
    model = policy.model
    if adapted:
        torch.manual_seed(1)
        model = get_peft_model(
            model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
        )
    ids = torch.tensor([policy.encode(ask(PROMPTS[1]))])
    with torch.no_grad():
        plain = model(input_ids=ids).logits
        with packed_linears(model, 8):
            inside = model(input_ids=ids).logits
            with packed_linears(model, 8):
                assert torch.equal(model(input_ids=ids).logits, inside)
            assert torch.equal(model(input_ids=ids).logits, inside), "the outer one is still there"
        assert torch.equal(model(input_ids=ids).logits, plain)
    assert (inside - plain).abs().max() < 1e-4
    assert not any("forward" in vars(m) for m in model.modules())


def test_draws_follow_the_softmax() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0, 0.5] * 60]).log_softmax(-1)
    draws = (torch.arange(20_000) + 0.5) / 20_000
    tokens = pick(logits.expand(20_000, -1), draws, 0.7)
    found = torch.bincount(tokens, minlength=300) / 20_000
    assert (found - (logits[0] / 0.7).softmax(-1)).abs().max() < 2e-4
    assert pick(logits, torch.tensor([0.0]), 1.0).item() == 0
    assert pick(logits, torch.tensor([1 - 1e-7]), 1.0).item() == 299


def test_a_reply_does_not_depend_on_its_company(policy: LocalPolicy) -> None:
    together = policy.sample(
        [ask(p) for p in PROMPTS for _ in range(3)],
        [f"{p}-{i}" for p in PROMPTS for i in range(3)],
        10,
        1.0,
    )
    alone = [policy.sample([ask(p)], [f"{p}-{i}"], 10, 1.0)[0] for p in PROMPTS for i in range(3)]
    assert [r.text for r in together] == [r.text for r in alone]
    assert len({r.text for r in together}) > 3


@pytest.mark.parametrize("header", ["", "You are asked about colours. "])
def test_prompts_read_in_batches_leave_what_one_pass_leaves(
    policy: LocalPolicy, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    rows = [policy.encode(ask(header + p * n)) for p in PROMPTS for n in (1, 2, 7)]
    whole = sample(policy.model, rows, torch.full((len(rows), 12), 0.4), 1.0, policy.stops)
    monkeypatch.setattr(prompts, "BATCH_TOKENS", 64)
    cache, mask, logits = prompts.read_all(policy.model, rows, 8)
    for i, row in enumerate(rows):
        alone = policy.model(input_ids=torch.tensor([row]))
        assert mask[i].sum() == len(row)
        assert (alone.logits[0, -1] - logits[i]).abs().max() < 1e-4
    assert sample(policy.model, rows, torch.full((len(rows), 12), 0.4), 1.0, policy.stops) == whole
    assert (
        max(map(len, rows))
        <= cache.get_seq_length()
        == mask.shape[1]
        < max(map(len, rows)) + prompts.STRIDE
    )


@pytest.mark.parametrize("header", ["", "You are asked about colours. "])
def test_choice_scores_equal_a_plain_forward_pass_whatever_is_shared_or_batched(
    policy: LocalPolicy, header: str
) -> None:
    prompts = [policy.encode(ask(header + p)) for p in PROMPTS * 2]
    choices = [[[5, 9, 30], [7], [40, 41, 42, 43]], [[3], [4]], [[8, 8], [9, 9], [10]]] * 2
    ours = score(policy.model, list(zip(prompts, choices, strict=True)))
    assert shared_prefix(prompts) >= len(header.split())
    for prompt, options, found in zip(prompts, choices, ours, strict=True):
        for choice, value in zip(options, found, strict=True):
            with torch.no_grad():
                logps = (
                    policy.model(torch.tensor([prompt + choice]))
                    .logits[0, len(prompt) - 1 : -1]
                    .log_softmax(-1)
                )
            assert value == pytest.approx(
                sum(float(logps[i, token]) for i, token in enumerate(choice)), abs=1e-4
            )


def test_a_shared_prefix_leaves_every_prompt_a_token_of_its_own() -> None:
    assert shared_prefix([[1, 2, 3], [1, 2]]) == 1
    assert shared_prefix([[1, 2], [1, 2]]) == 1
    assert shared_prefix([[1, 2], [3]]) == 0
    assert shared_prefix([[1, 2]]) == 0


def test_a_reply_that_hits_the_cap_is_truncated_and_one_that_ends_is_not(
    policy: LocalPolicy,
) -> None:
    stop = policy.stops[0]
    assert policy.reply([5, 6, stop]).truncated is False
    assert policy.reply([5, 6, 7]).truncated is True


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    for name, message in [
        (str(tmp_path / "none.gguf"), "no such model file"),
        (str(tmp_path), "without config.json"),
        ("nonsense", "the embedded model is"),
    ]:
        with pytest.raises(ColorfastError, match=message):
            load_policy(name)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    with pytest.raises(ColorfastError, match="cannot be read"):
        load_policy(str(broken))
