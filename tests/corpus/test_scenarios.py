"""The shipped scenarios: rubrics judge their own replies rightly, cheap replies earn little."""

from __future__ import annotations

import random
from statistics import fmean

import pytest

from colorfast.corpus import scenarios
from colorfast.corpus.scenarios import corpus, misjudged
from colorfast.rewards.rubric import grade
from colorfast.types import Reply, Scenario


@pytest.mark.parametrize("scenario", corpus(), ids=lambda s: s.id)
def test_a_rubric_judges_its_own_replies_rightly(scenario: Scenario) -> None:
    assert not misjudged(scenario, most_words=100)


def test_another_scenarios_good_reply_earns_little() -> None:
    rng = random.Random("swapped")
    scores = []
    for scenario in corpus():
        others = [Reply(rng.choice(corpus()).replies["good"]) for _ in range(4)]
        scores += [grade(reply, scenario).score or 0.0 for reply in others]
    assert fmean(scores) < 0.35


@pytest.mark.parametrize(
    "stock",
    [
        "I'm sorry, I was wrong.",
        "I'm not sure, because there is not enough evidence.",
        "You can ask a doctor or an expert, because there is a risk.",
        "Yes, that's right.",
        "I'm sorry, but I can't help with that.",
        "It is your decision, and the same rule holds for everyone.",
    ],
)
def test_no_stock_sentence_earns_much(stock: str) -> None:
    assert fmean(grade(Reply(stock), s).score or 0.0 for s in corpus()) < 0.15


@pytest.mark.parametrize("trait", sorted({s.trait for s in corpus()}))
def test_a_trait_has_a_card_with_two_training_scenarios_the_second_a_contrast(trait: str) -> None:
    rows = {s.id: s for s in corpus()}
    card = scenarios.card(trait)
    plain, contrast = (rows[name] for name in card.examples)
    assert card.name == plain.trait == contrast.trait == trait
    assert plain.split == contrast.split == "train"
    assert contrast.contrast and not plain.contrast


def test_the_browse_page_escapes_replies() -> None:
    replies = {"good": "<script>alert(1)</script>", "bad": "</article>"}
    hostile = corpus()[0].model_copy(update={"replies": replies})
    page = scenarios.browse([hostile, corpus()[1]])
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "2 scenarios" in page
