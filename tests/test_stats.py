"""The comparison: intervals cover the simulated truth, pairing is by item, and unequal scores are refused."""

from __future__ import annotations

import numpy as np
import pytest

from colorfast.evaluate import estimate
from colorfast.stats import interval, item_means, paired, rng, summary
from colorfast.types import ColorfastError, Evaluation, Score


def test_interval_covers_the_true_difference_at_its_nominal_rate() -> None:
    truth, covered, runs = 0.06, 0, 300
    draw = rng("coverage")
    for i in range(runs):
        hard = draw.beta(2, 3, 80)
        base = draw.binomial(4, hard) / 4
        arm = draw.binomial(4, np.clip(hard + truth, 0, 1)) / 4
        expected = float((np.clip(hard + truth, 0, 1) - hard).mean())
        low, high = interval((arm - base)[None, :], f"coverage-{i}")
        covered += low <= expected <= high
    assert 0.92 <= covered / runs <= 0.98


def test_interval_with_seeds_is_wider_than_without_when_runs_differ() -> None:
    draw = rng("seeds")
    shifts = np.array([-0.1, 0.0, 0.1, 0.05])[:, None]
    differences = 0.1 + shifts + 0.05 * draw.standard_normal((4, 100))
    with_seeds = interval(differences, "a")
    without = interval(differences.mean(0, keepdims=True), "a")
    assert with_seeds[1] - with_seeds[0] > 2 * (without[1] - without[0])


def test_the_same_name_gives_the_same_interval() -> None:
    values = rng("x").standard_normal((1, 50))
    assert interval(values, "name") == interval(values, "name")
    assert interval(values, "name") != interval(values, "another")


def scores(values: dict[str, list[float | None]], name: str = "heldout") -> list[Score]:
    return [Score(name, item, k, v, reason="" if v is not None else "no verdict") for item, vs in values.items() for k, v in enumerate(vs)]


def test_an_item_is_the_mean_of_its_samples_and_ungraded_items_are_left_out_on_both_sides() -> None:
    ours = {0: item_means(scores({"a": [1.0, 0.0], "b": [1.0, None], "c": [1.0, 1.0]}), "score")}
    theirs = {0: item_means(scores({"a": [0.0, 0.0], "b": [0.0, 0.0], "c": [1.0, 0.0]}), "score")}
    assert ours[0] == {"a": 0.5, "b": None, "c": 1.0}
    a, b = paired(ours, theirs)
    assert a.tolist() == [[0.5, 1.0]]
    assert b.tolist() == [[0.0, 0.5]]


def test_scores_of_other_items_or_seeds_do_not_compare() -> None:
    with pytest.raises(ColorfastError, match="different items"):
        paired({0: {"a": 1.0}}, {0: {"b": 1.0}})
    with pytest.raises(ColorfastError, match="different seeds"):
        paired({0: {"a": 1.0}}, {1: {"a": 1.0}})


def test_an_arm_that_is_better_everywhere_is_found_and_an_equal_one_is_not() -> None:
    items = {f"x-{i:02d}": [0.2, 0.4] for i in range(40)}
    better = {i: [v + 0.3 for v in vs] for i, vs in items.items()}
    traits = {i: "truthfulness" if int(i[2:]) % 2 else "corrigibility" for i in items}
    base = {0: scores(items)}
    found = estimate("arm", {0: scores(better)}, base, Evaluation(), traits)
    assert [e.eval for e in found] == ["heldout", "heldout/corrigibility", "heldout/truthfulness"]
    assert all(e.difference == pytest.approx(0.3) and e.low > 0.29 for e in found)
    assert [e.items for e in found] == [40, 20, 20]
    same = estimate("arm", base, base, Evaluation(), traits)
    assert all(e.difference == e.low == e.high == 0 for e in same)


def test_what_could_not_be_scored_is_counted_and_never_a_zero() -> None:
    row = summary(scores({"a": [None], "b": [1.0]}))[0]
    assert row["score"] == 1.0
    assert row["items"] == 1
    assert row["ungraded"] == 1
    nothing = summary(scores({"a": [None]}))[0]
    assert nothing["score"] is None
