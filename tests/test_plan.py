"""A plan counts exactly what can be counted, asks no judge, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

from colorfast import experiment as exp
from colorfast.plan import plan
from colorfast.rundir import read_json
from colorfast.settings import Arm, Endpoint, Evaluation, Experiment, Grading, Training


def test_slots_prompts_and_completions_are_those_of_the_run(tiny: Experiment, tmp_path: Path) -> None:
    found = plan(tiny)
    folder = exp.run(tiny, tmp_path)
    for name, arm in found.arms.items():
        used = read_json(folder / f"{name}-s0" / "ledger.json")
        assert arm.slots == {source: values["prompts"] for source, values in used["sources"].items()}
        assert arm.completions == used["total"]["completions"]
        assert arm.prompt_tokens == used["total"]["prompt_tokens"]
        assert arm.completion_tokens > 0
        assert arm.training_seconds > 0
    assert found.seconds > sum(a.training_seconds + a.evaluation_seconds for a in found.arms.values())
    assert found.memory > 10**8
    assert found.judges == {}


def judge(model: str) -> Grading:
    return Grading(kind="judge", judge=Endpoint(base_url="http://127.0.0.1:9/v1", model=model, price_in=1, price_out=2))


def test_judge_calls_are_counted_and_none_is_made(tiny: Experiment) -> None:
    evaluation: Evaluation = tiny.evaluation.model_copy(update={"grading": judge("a"), "samples": 2})
    training: Training = tiny.training.model_copy(update={"reward": judge("b")})
    asked = tiny.model_copy(update={"evaluation": evaluation, "training": training, "seeds": (0, 1)})
    found = plan(asked)
    held = len(exp.heldout(asked))
    trait_slots = sum(arm.slots.get("trait", 0) for arm in found.arms.values())
    assert found.judges["reward"]["calls"] == trait_slots * training.group_size * 2
    assert found.judges["evaluation"]["calls"] == held * 2 * (3 * 2 + 1)
    for used in found.judges.values():
        assert used["cost"] == (used["prompt_tokens"] + 2 * used["completion_tokens"]) / 1e6 > 0


def test_an_experiment_without_a_dose_is_planned_too(tiny: Experiment) -> None:
    found = plan(tiny.model_copy(update={"arms": {"baseline": Arm(dose=0)}}))
    assert "trait" not in found.arms["baseline"].slots
