"""Every feature of another library that we reach inside for has a plain path with the same
numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from colorfast.models import cpu_linear, kv_cache, onednn, prompts
from colorfast.models.cpu_linear import packed_linears
from colorfast.models.local import load_policy
from colorfast.models.sampling import sample
from colorfast.training.engines import fused_logprobs, prefix_packing, trl, trl_adapter
from colorfast.types import ColorfastError
from helpers.slots import SETTINGS, slots

STEP = SETTINGS.model_copy(
    update={
        "steps": 1,
        "prompts_per_step": 6,
        "adapter": "full",
        "precision": "fp32",
        "pass_tokens": 64,
    }
)


def gradients(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **missing: Any
) -> tuple[torch.Tensor, dict[str, int]]:
    """The gradient of one training step, and how often our own paths ran in it."""
    ran = {"packs": 0, "passes": 0}
    grads: list[torch.Tensor] = []
    pack, backward = prefix_packing.pack, trl_adapter.GroupTrainer._backward

    def counted_pack(*args: Any) -> Any:
        ran["packs"] += 1
        return pack(*args)

    def counted_backward(*args: Any) -> Any:
        ran["passes"] += 1
        return backward(*args)

    def keep(self: Any, *args: Any, model: Any, **kwargs: Any) -> None:
        grads.extend(p.grad.flatten().clone() for p in model.parameters())

    with monkeypatch.context() as patch:
        patch.setattr(prefix_packing, "pack", counted_pack)
        patch.setattr(trl_adapter.GroupTrainer, "_backward", counted_backward)
        patch.setattr(trl.Progress, "on_pre_optimizer_step", keep, raising=False)
        for name, value in missing.items():
            module = fused_logprobs if name == "FINDS_HEAD" else trl_adapter
            patch.setattr(module, name, value)
        trl.train(str(model), slots(6), STEP, 0, folder)
    return torch.cat(grads), ran


def test_this_trl_has_what_the_adapter_expects() -> None:
    assert trl_adapter.RECORDS
    assert trl_adapter.SPLITS_STEPS
    assert trl_adapter.PACKS
    assert fused_logprobs.FINDS_HEAD


@pytest.mark.parametrize("missing", ["SPLITS_STEPS", "PACKS", "FINDS_HEAD"])
def test_without_a_feature_of_trl_or_transformers_the_gradient_is_the_same(
    missing: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, ran = gradients(tiny_model, tmp_path / "ours", monkeypatch)
    assert ran["packs"] > 0
    assert ran["passes"] > 1
    plain, ran = gradients(tiny_model, tmp_path / "plain", monkeypatch, **{missing: False})
    assert (ran["passes"] == 0) == (missing == "SPLITS_STEPS")
    assert (ran["packs"] == 0) == (missing != "SPLITS_STEPS")
    assert (ours - plain).norm() / plain.norm() < 1e-3


def test_a_trl_that_hides_a_steps_advantages_is_one_line(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ColorfastError, match="TRL: this version has no _generate_and_score"):
        gradients(tiny_model, tmp_path / "run", monkeypatch, RECORDS=False)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_without_onednn_a_linear_layer_multiplies_by_the_plain_weight(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weight = torch.randn(8, 16), torch.randn(24, 16)
    ours = onednn.linear(weight, None, 8, precision)(x)
    monkeypatch.setattr(onednn, "LAYS_OUT", False)
    plain = onednn.linear(weight, None, 8, precision)(x)
    torch.testing.assert_close(ours, plain, atol=0.1, rtol=0.02)
    monkeypatch.setattr(onednn, "ROUNDS", False)
    with onednn.products("bf16"):
        assert torch.equal(torch.nn.functional.linear(x, weight), x @ weight.T)


@pytest.mark.skipif(torch.cuda.is_available(), reason="weights are laid out on a CPU")
def test_without_a_merge_of_peft_an_adapted_model_runs_as_it_is(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(load_policy(str(tiny_model)).model, lora)
    ids = torch.tensor([[5, 6, 7]])

    def logits() -> tuple[torch.Tensor, bool]:
        with torch.no_grad(), packed_linears(model, 8):
            packed = any("forward" in vars(m) for m in model.modules())
            return model(input_ids=ids).logits, packed

    ours, packed = logits()
    assert packed == onednn.LAYS_OUT
    monkeypatch.setattr(cpu_linear, "MERGES", False)
    plain, packed = logits()
    assert not packed
    torch.testing.assert_close(ours, plain, atol=1e-4, rtol=1e-4)


def test_with_the_librarys_own_cache_replies_are_the_same(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_policy(str(tiny_model)).model
    rows, draws = [[5, 6, 7], [5, 6, 8, 9], [5, 6, 7]], torch.full((3, 12), 0.4)
    ours = sample(model, rows, draws, 1.0, [0])
    monkeypatch.setattr(kv_cache, "is_plain", lambda model: False)
    cache, *_ = prompts.read_all(model, rows, 8)
    assert not any(isinstance(layer, kv_cache.RoomyLayer) for layer in cache.layers)
    assert sample(model, rows, draws, 1.0, [0]) == ours
