"""A plan counts exactly what can be counted, asks no judge, and leaves nothing behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from colorfast.config import Arm, Endpoint, Evaluation, Experiment, Grading, Training
from colorfast.io.storage import read_json
from colorfast.runs import experiment
from colorfast.runs.gpu_estimate import LAUNCH, estimate
from colorfast.runs.plan import plan
from colorfast.types import ColorfastError


def test_slots_prompts_and_completions_are_those_of_the_run(
    tiny: Experiment, tmp_path: Path
) -> None:
    found = plan(tiny)
    folder = experiment.run(tiny, tmp_path)
    for name, arm in found.arms.items():
        used = read_json(folder / f"{name}-s0" / "ledger.json")
        assert arm.slots == {
            source: values["prompts"] for source, values in used["sources"].items()
        }
        assert arm.completions == used["total"]["completions"]
        assert arm.prompt_tokens == used["total"]["prompt_tokens"]
        assert arm.completion_tokens > 0
        assert arm.training_seconds > 0
    assert found.seconds > sum(
        a.training_seconds + a.evaluation_seconds for a in found.arms.values()
    )
    assert found.memory > 10**8
    assert found.judges == {}


def judge(model: str) -> Grading:
    return Grading(
        kind="judge",
        judge=Endpoint(base_url="http://127.0.0.1:9/v1", model=model, price_in=1, price_out=2),
    )


def test_judge_calls_are_counted_and_none_is_made(tiny: Experiment) -> None:
    evaluation: Evaluation = tiny.evaluation.model_copy(
        update={"grading": judge("a"), "samples": 2}
    )
    training: Training = tiny.training.model_copy(update={"grading": judge("b")})
    asked = tiny.model_copy(
        update={"evaluation": evaluation, "training": training, "seeds": (0, 1)}
    )
    found = plan(asked)
    held = len(experiment.heldout(asked))
    trait_slots = sum(arm.slots.get("trait", 0) for arm in found.arms.values())
    assert found.judges["reward"]["calls"] == trait_slots * training.group_size * 2
    assert found.judges["evaluation"]["calls"] == held * 2 * (3 * 2 + 1)
    for used in found.judges.values():
        assert used["cost"] == (used["prompt_tokens"] + 2 * used["completion_tokens"]) / 1e6 > 0


def test_an_experiment_without_a_dose_is_planned_too(tiny: Experiment) -> None:
    found = plan(tiny.model_copy(update={"arms": {"baseline": Arm(dose=0)}}))
    assert "trait" not in found.arms["baseline"].slots


def test_a_card_takes_what_its_operations_and_its_bandwidth_say(tiny: Experiment) -> None:
    sized = tiny.model_copy(update={"model": "somebody/thing-7B"})
    found, counted = estimate(sized, "a100"), plan(tiny)
    for name, arm in found.arms.items():
        assert arm.slots == counted.arms[name].slots
        assert arm.completions == counted.arms[name].completions
        assert (
            arm.completion_tokens
            == arm.completions * sized.training.max_tokens
            >= counted.arms[name].completion_tokens
        )
        batches = arm.completions / (sized.training.group_size * sized.training.prompts_per_step)
        launched = batches * sized.training.max_tokens * LAUNCH
        tokens = arm.prompt_tokens + arm.completion_tokens
        each = 4 if sized.training.adapter == "lora" else 6
        multiplied = 7e9 * (2 * arm.prompt_tokens + each * tokens) / (0.4 * 312e12)
        assert arm.training_seconds == pytest.approx(launched + multiplied)
    assert (
        estimate(sized, "h100").seconds
        < found.seconds
        < estimate(sized.model_copy(update={"model": "thing-14b"}), "a100").seconds
    )


def test_a_card_that_is_unknown_or_too_small_or_a_model_without_a_size_is_one_clear_line(
    tiny: Experiment,
) -> None:
    whole = tiny.training.model_copy(update={"adapter": "full"})
    with pytest.raises(ColorfastError, match="unknown card 'v100'"):
        estimate(tiny, "v100")
    with pytest.raises(ColorfastError, match="no size as 7B"):
        estimate(tiny.model_copy(update={"model": "somebody/thing"}), "a100")
    with pytest.raises(ColorfastError, match=r'112 GB .* 80 GB of "a100"; set adapter = "lora"'):
        estimate(tiny.model_copy(update={"model": "thing-7B", "training": whole}), "a100")


@pytest.mark.data  # how long an eval takes follows from its real items
@pytest.mark.parametrize("name", experiment.names())
def test_the_time_each_shipped_experiment_gives_for_a_gpu_is_what_plan_gives(name: str) -> None:
    text = (Path(experiment.__file__).parent / "experiments" / f"{name}.toml").read_text(
        encoding="utf-8"
    )
    said = re.search(
        r"^# plan: .*one A100 (?:by arithmetic )?([\d.,]+) (minutes?|hours)$", text, re.MULTILINE
    )
    assert said, f"{name}.toml has no line of what plan gives"
    minutes = estimate(experiment.load(name), "a100").seconds / 60
    assert float(said[1].replace(",", "")) == round(minutes / 60 if said[2] == "hours" else minutes)
