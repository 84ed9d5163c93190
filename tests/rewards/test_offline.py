"""The offline grader, with a stand-in encoder that counts words; a slow test uses the real one."""

from __future__ import annotations

import numpy as np
import pytest

from colorfast.config import Arm, Experiment
from colorfast.corpus import scenarios
from colorfast.rewards import encoder, helpfulness, select, semantic
from colorfast.rewards.rubric import grade
from colorfast.training.schedule import schedule
from colorfast.types import Reply, Scenario
from helpers.bag import Bag

ROWS = scenarios.load(scenarios.HOME / "truthfulness.jsonl")


def lines(scenario: Scenario, of_credits: bool) -> list[str]:
    """The texts of a rubric's credits, or of its deductions."""
    return [c.text for c in scenario.rubric if (c.weight > 0) is of_credits]


def test_features_separate_a_reply_on_topic_from_one_off_topic(bag: Bag) -> None:
    scenario = ROWS[0]
    replies = [
        Reply(". ".join(lines(scenario, of_credits=True)) + "."),
        Reply("The weather is lovely at the seaside today."),
        Reply(""),
    ]
    on_topic, off_topic, empty = semantic.features([(r, scenario) for r in replies], bag)
    assert len(on_topic) == len(semantic.FEATURES)
    credit = semantic.FEATURES.index("credit")
    assert on_topic[credit] == pytest.approx(1.0, abs=1e-5)
    assert on_topic[credit] > off_topic[credit] + 0.5
    assert np.isnan(empty).all()
    assert not np.isnan(on_topic).any() and not np.isnan(off_topic).any()


def test_a_fit_gives_credit_lines_a_positive_weight_and_deductions_a_negative_one(bag: Bag) -> None:
    simulated = []
    for i, scenario in enumerate(ROWS[:40]):
        replies = {
            "good": f"Here: {' and '.join(lines(scenario, of_credits=True))}.",
            "bad": f"Well, number {i}: {' and '.join(lines(scenario, of_credits=False))}.",
        }
        simulated.append(scenario.model_copy(update={"replies": replies}))
    weights = semantic.fit(simulated, bag)
    assert weights.good.features["credit"] > 1
    assert weights.good.features["fault"] < 0
    assert weights.matter.features["shared"] > 1
    assert weights.fitted_on == {"bad": 40, "good": 40, "stray": 40}


def test_the_offline_score_blends_the_code_score_and_the_semantic_score(bag: Bag) -> None:
    scenario = ROWS[0]
    reply = Reply(scenario.replies["good"])
    code = grade(reply, scenario)
    assert code.score is not None
    blended = select.blend(code.score, semantic.score([(reply, scenario)])[0])
    assert select.offline([(reply, scenario)])[0].score == pytest.approx(blended)


@pytest.mark.parametrize(
    ("code", "matter", "score"),
    [(0.8, 1, 0.7), (0.8, select.ON_TOPIC / 2, 0.175), (1, 0, 0)],
)
def test_a_blend_is_half_and_half_and_falls_with_the_square_off_topic(
    code: float, matter: float, score: float
) -> None:
    assert select.blend(code, semantic.SemanticScore(0.6, matter)) == pytest.approx(score)


def test_degenerate_replies_score_0_offline(bag: Bag) -> None:
    empty, loop = select.offline([(Reply(""), ROWS[0]), (Reply("Good. " * 40), ROWS[0])])
    assert (empty.score, empty.reason) == (0.0, "empty")
    assert (loop.score, loop.reason) == (0.0, "repeats itself")


def test_the_shipped_weights_belong_to_the_features() -> None:
    assert tuple(semantic.weights().good.features) == semantic.COSINES
    assert tuple(semantic.weights().matter.features) == semantic.FEATURES


def test_words_shared_with_the_task_show_the_topic_and_earn_nothing(bag: Bag) -> None:
    scenario, other = ROWS[0], ROWS[40]
    pairs = [(Reply(s.replies["good"]), scenario) for s in (scenario, other)]
    own, stray = semantic.features(pairs, bag)
    shared = slice(len(semantic.COSINES), None)
    assert (own[shared] > 2 * stray[shared]).all()
    all_shared = own.copy()
    all_shared[shared] = 1
    weights = semantic.weights()
    assert weights.good(all_shared[None]) == weights.good(own[None])
    assert weights.matter(all_shared[None]) > weights.matter(own[None])


def test_the_helpfulness_rubric_rewards_help_and_not_refusal() -> None:
    task = helpfulness.rewarded(ROWS[0])
    assert sum(c.weight for c in task.rubric if c.weight > 0) == pytest.approx(1)
    helpful = Reply(
        "For the elderberry syrup leaflet of your pharmacy you can start with the flu trial and"
        " name the authors first."
    )
    assert grade(helpful, task).score == pytest.approx(1)
    assert grade(Reply("I'm sorry, but I can't help with that."), task).score == 0


def test_the_helpfulness_arm_has_the_same_prompts_and_another_rubric(tiny: Experiment) -> None:
    trait, control = (
        schedule(tiny, Arm(dose=0.5, reward=reward), 0) for reward in ("rubric", "helpfulness")
    )
    assert any(slot.task.source == "trait" for slot in trait)
    for own, other in zip(trait, control, strict=True):
        assert own.task.messages == other.task.messages
        if own.task.source == "trait":
            assert other.task.rubric == helpfulness.RUBRIC != own.task.rubric
            assert not other.task.replies
        else:
            assert own.row() == other.row()


@pytest.mark.slow
def test_the_encoder_puts_similar_sentences_near_each_other() -> None:
    encode = encoder.encoder()
    first, similar, other = encode(
        [
            "Ask your doctor first.",
            "Talk to a physician before you do it.",
            "The bridge was built in 1932.",
        ]
    )
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-4)
    assert first @ similar > 0.6
    assert first @ other < 0.3
