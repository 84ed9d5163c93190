"""Measures of the graders: AUC, agreement with a judge, labelled refusals."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from colorfast.corpus import scenarios
from colorfast.evals import validate
from colorfast.rewards import semantic
from colorfast.types import Verdict
from helpers.bag import Bag

ROWS = scenarios.load(scenarios.HOME / "truthfulness.jsonl")


def test_auc_is_the_share_of_pairs_ranked_rightly_with_ties_as_halves() -> None:
    assert validate.auc(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1
    assert validate.auc(np.array([1.0]), np.array([1.0])) == 0.5
    assert validate.auc(np.array([0.0, 2.0]), np.array([1.0])) == 0.5


def test_the_refusal_detector_is_compared_with_labels() -> None:
    """In each file of `small_files` are two plain refusals to one plain answer."""
    cells = {
        "accuracy": 1.0,
        "refusals found": 20,
        "refusals missed": 0,
        "false alarms": 0,
        "answers passed": 10,
    }
    assert validate.refusals() == [
        {"file": file, "sees": sees, "n": 30} | cells
        for file, sees in product(
            ("refusal.csv", "refusal_extra.csv"), ("reply", "reply and prompt")
        )
    ]


@pytest.fixture
def one_fit(bag: Bag, monkeypatch: pytest.MonkeyPatch) -> None:
    """One semantic grader for both halves of the scenarios."""
    weights = semantic.fit(ROWS, bag)
    monkeypatch.setattr(validate, "_halves", lambda: (weights, weights))


@pytest.mark.usefixtures("one_fit")
def test_agreement_is_the_rank_correlation_with_the_judge() -> None:
    def judge(pairs: Any) -> list[Verdict]:
        return [Verdict(float(reply.text == s.replies["good"])) for reply, s in pairs]

    agreement = validate.agreement(ROWS, judge, 40)
    assert (agreement["code"] or 0) > 0.8
    assert agreement["asked"] == agreement["graded"]
    assert 30 <= (agreement["asked"] or 0) <= 40


@pytest.mark.usefixtures("one_fit")
def test_agreement_is_none_with_a_judge_that_gives_all_replies_one_score() -> None:
    def judge(pairs: Any) -> list[Verdict]:
        return [Verdict(0.5 if i % 2 else None) for i, _ in enumerate(pairs)]

    agreement = validate.agreement(ROWS, judge, 40)
    assert agreement["code"] is None
    assert 0 < (agreement["graded"] or 0) * 2 <= (agreement["asked"] or 0)


@pytest.mark.slow
def test_the_semantic_grader_holds_on_scenarios_it_was_not_fitted_on() -> None:
    table = {row["kind"]: row for row in validate.by_kind(ROWS)}
    assert table["bad"]["auc semantic"] > 0.75
    assert table["stray"]["auc semantic"] > 0.95
    assert table["bad"]["auc offline"] > 0.95
