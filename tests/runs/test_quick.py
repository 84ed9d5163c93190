"""The quick experiment: what it must hold, so that a stranger's first run works and means
something."""

from __future__ import annotations

from colorfast.evals import benchmarks
from colorfast.io.wheels import WHEEL
from colorfast.runs.experiment import read

FAMILIES = {
    "over-refusal",
    "sycophancy",
    "honesty",
    "fairness",
    "harm refusal",
    "health",
    "calibration",
    "capability",
    "deception",
}


def test_every_eval_of_quick_comes_with_a_package() -> None:
    evals = [benchmarks.get(name) for name in read("quick").evaluation.benchmarks]
    assert len(evals) >= 14 and {b.family for b in evals} >= FAMILIES
    assert {s.repo.startswith(WHEEL) for b in evals for s in b.sources} == {True}


def test_quick_is_scored_by_the_grader_that_rewarded_and_by_one_that_did_not() -> None:
    experiment = read("quick")
    evaluation, reward = experiment.evaluation, experiment.training.grading
    assert evaluation.grading == reward and evaluation.second_grading not in (None, reward)
    assert sorted(arm.dose for arm in experiment.arms.values())[:3] == [0, 0.05, 0.25]


def test_quick_seeds_is_quick_under_three_seeds() -> None:
    one, three = (read(name).model_dump() for name in ("quick", "quick-seeds"))
    assert three["seeds"] == (0, 1, 2) and one["seeds"] == (0,)
    for key in ("name", "about", "seeds"):
        del one[key], three[key]
    assert one == three
