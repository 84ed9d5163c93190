"""Rollouts by vLLM, against a small engine with its interface that samples from the tiny model.
vLLM itself needs a GPU."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from trl import GRPOConfig

from colorfast.config import Experiment
from colorfast.corpus.scenarios import corpus
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.models.vllm import MOST, is_masked, masked_share, rollouts, seed
from colorfast.training.engines.recorder import Recorder
from colorfast.training.schedule import schedule
from colorfast.types import ColorfastError


@dataclasses.dataclass
class SamplingParams:
    """The documented fields that are used; an unknown one is refused."""

    seed: int
    temperature: float
    max_tokens: int
    stop_token_ids: list[int]
    logprobs: int


@pytest.fixture(autouse=True)
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's own SamplingParams where it is installed."""
    try:
        import vllm  # noqa: F401
    except ImportError:
        module = ModuleType("vllm")
        module.SamplingParams = SamplingParams  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "vllm", module)


class Engine:
    """`LLM.generate` as documented: one SamplingParams a prompt, outputs in order, a dictionary of
    log-probabilities a token."""

    def __init__(self, policy: LocalPolicy):
        self.policy = policy

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[dict[str, Any]],
        sampling_params: Sequence[Any],
        *,
        use_tqdm: bool = True,
    ) -> list[Any]:
        assert len(prompts) == len(sampling_params) and not use_tqdm
        return [
            SimpleNamespace(outputs=[self.one(p["prompt_token_ids"], params)])
            for p, params in zip(prompts, sampling_params, strict=True)
        ]

    def one(self, prompt: list[int], params: Any) -> Any:
        draw = torch.Generator().manual_seed(params.seed)
        ids: list[int] = []
        places: list[dict[int, Any]] = []
        while len(ids) < params.max_tokens and not (ids and ids[-1] in params.stop_token_ids):
            logits = self.policy.model(torch.tensor([[*prompt, *ids]])).logits[0, -1]
            logs = (logits / params.temperature).log_softmax(-1)
            token = int(torch.multinomial(logs.exp(), 1, generator=draw))
            ids.append(token)
            likeliest = int(logs.argmax())
            places.append(
                {t: SimpleNamespace(logprob=float(logs[t]), rank=1) for t in (likeliest, token)}
            )
        return SimpleNamespace(token_ids=tuple(ids), logprobs=places)


@pytest.fixture(scope="module")
def policy(tiny_model: Path) -> LocalPolicy:
    return load_policy(str(tiny_model))


@pytest.fixture(scope="module")
def prompts(policy: LocalPolicy) -> list[list[int]]:
    return [policy.encode(s.messages)[-20:] for s in corpus()[:3]]


NAMES = ["rollout-0-0-0", "rollout-0-1-0", "rollout-0-2-0"]


def test_a_name_gives_the_same_reply_whatever_else_is_asked(
    policy: LocalPolicy, prompts: list[list[int]]
) -> None:
    engine = Engine(policy)
    together, logs = rollouts(engine, prompts, NAMES, 8, 0.8, policy.stops)
    for i in (2, 0, 1):
        assert rollouts(engine, [prompts[i]], [NAMES[i]], 8, 0.8, policy.stops) == (
            [together[i]],
            [logs[i]],
        )
    group, _ = rollouts(
        engine, [prompts[0]] * 3, [f"rollout-0-0-{i}" for i in range(3)], 8, 0.8, policy.stops
    )
    assert group[0] == together[0] and len({tuple(ids) for ids in group}) == 3


def test_a_reply_ends_with_a_stop_token_or_at_the_cap(
    policy: LocalPolicy, prompts: list[list[int]]
) -> None:
    stops = list(range(0, 400, 5))
    ended, logs = rollouts(
        Engine(policy), prompts * 4, [f"r-{i}" for i in range(12)], 6, 1.0, stops
    )
    for ids, own in zip(ended, logs, strict=True):
        assert (
            (ids[-1] in stops or len(ids) == 6)
            and not set(ids[:-1]) & set(stops)
            and len(own) == len(ids)
        )
    assert {len(ids) == 6 for ids in ended} == {True, False}


def test_log_probabilities_are_the_trainers_at_the_sampling_temperature(
    policy: LocalPolicy, prompts: list[list[int]]
) -> None:
    ids, logs = rollouts(Engine(policy), prompts, NAMES, 6, 0.7, policy.stops)
    for prompt, own, told in zip(prompts, ids, logs, strict=True):
        with torch.no_grad():
            logits = policy.model(torch.tensor([[*prompt, *own]])).logits[0, len(prompt) - 1 : -1]
        trained = (
            (logits / 0.7).log_softmax(-1).gather(-1, torch.tensor(own).unsqueeze(-1)).squeeze(-1)
        )
        assert told == pytest.approx(trained.tolist(), abs=1e-4)
        assert not is_masked(trained.tolist(), told)


def test_seeds_are_named_and_do_not_collide() -> None:
    seeds = {
        seed(f"rollout-{s}-{slot}-{sample}")
        for s in range(2)
        for slot in range(2000)
        for sample in range(8)
    }
    assert len(seeds) == 32_000 and min(seeds) >= 0 and max(seeds) < 2**63
    assert max(seeds) > 2**62


def test_the_masked_share_counts_tokens_by_source() -> None:
    same, above, below = [-1.0, -2.0], [-1.0, -2.0 + math.log(MOST) + 0.01], [-9.0, -9.0]
    trained, sampled = [same, above, below, [-0.5]], [same, same, same, [math.nan]]
    assert [is_masked(t, s) for t, s in zip(trained, sampled, strict=True)] == [
        False,
        True,
        False,
        False,
    ]
    assert masked_share(["trait", "trait", "facts", "facts"], trained, sampled) == {
        "facts": 0.0,
        "trait": 0.5,
    }
    assert masked_share(["trait", "trait"], [above, [-1.0] * 6], [same, [-1.0] * 6]) == {
        "trait": 0.25
    }


def test_the_bound_is_trls(tmp_path: Path) -> None:
    config = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    assert (config.vllm_importance_sampling_mode, config.vllm_importance_sampling_clip_max) == (
        "sequence_mask",
        MOST,
    )
    assert (
        config.vllm_importance_sampling_correction
        and config.vllm_importance_sampling_clip_min is None
    )


def test_without_vllm_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ColorfastError, match=r'pip install "colorfast\[vllm\]"'):
        rollouts(None, [[1]], ["a"], 1, 1.0, [0])


def test_rollouts_come_from_vllm_and_what_it_did_not_say_has_no_number(
    policy: LocalPolicy, tiny: Experiment, tmp_path: Path
) -> None:
    settings = tiny.training.model_copy(
        update={"vllm": True, "demonstrations": 1, "max_tokens": 48}
    )
    slots = schedule(tiny, tiny.arms["trait-50"], 0)[: settings.prompts_per_step]
    recorder = Recorder(tmp_path, policy, slots, settings, 0)
    trainer = SimpleNamespace(
        state=SimpleNamespace(global_step=0),
        accelerator=SimpleNamespace(process_index=0, unwrap_model=lambda model: model),
        model=policy.model,
        vllm_generation=SimpleNamespace(llm=Engine(policy)),
    )
    asked = [
        [m.model_dump() for m in slot.task.messages]
        for slot in slots
        for _ in range(settings.group_size)
    ]
    out = recorder.rollout(asked, trainer)  # type: ignore[arg-type]
    for i, (ids, logs) in enumerate(zip(out["completion_ids"], out["logprobs"], strict=True)):
        assert len(ids) == len(logs) and all(math.isnan(v) for v in logs) == recorder.shown[i]
        if not recorder.shown[i]:
            name = f"rollout-0-{i // settings.group_size}-{i % settings.group_size}"
            again, _ = rollouts(
                Engine(policy),
                [out["prompt_ids"][i]],
                [name],
                settings.max_tokens,
                settings.temperature,
                policy.stops,
            )
            assert again == [ids]
