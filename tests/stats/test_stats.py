"""The comparison: intervals cover the simulated truth, pairing is by item, and unequal scores are
refused."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest

from colorfast.analysis.compare import estimate
from colorfast.config import Evaluation
from colorfast.stats.intervals import (
    adjusted,
    by_item,
    mean,
    paired,
    rng,
    seed_share,
    sign_test,
    summary,
)
from colorfast.stats.structure import structure
from colorfast.types import ColorfastError, Interval, Score


def comparison(
    draw: np.random.Generator, seeds: int, gains: list[float], drift: float, items: int = 50
) -> list[np.ndarray]:
    """Differences [seeds, items] for each eval, with a run-to-run shift of standard deviation
    `drift`."""
    made = []
    for gain in gains:
        ease, shift = draw.uniform(0.25, 0.75, items), draw.normal(0, drift, seeds)[:, None]
        made.append(
            (draw.random((seeds, items)) < ease + gain + shift).astype(float)
            - (draw.random((seeds, items)) < ease)
        )
    return made


@pytest.mark.parametrize(("seeds", "drift"), [(1, 0.0), (2, 0.0), (2, 0.08), (3, 0.05), (5, 0.05)])
def test_intervals_cover_the_true_differences_and_few_discoveries_are_false(
    seeds: int, drift: float
) -> None:
    draw, gains = rng(f"coverage-{seeds}-{drift}"), [0.2 if k % 2 else 0.0 for k in range(60)]
    covered, wrong = [], []
    for _ in range(40):
        tables = comparison(draw, seeds, gains, drift)
        share = seed_share(tables)
        found = [mean([t], share) for t in tables]
        covered += [
            i.low <= gain <= i.high
            for i, gain in zip((m.interval() for m in found), gains, strict=True)
        ]
        stands = [
            gain
            for gain, q in zip(gains, adjusted([m.p() for m in found]), strict=True)
            if q < 0.05
        ]
        wrong.append(stands.count(0.0) / max(1, len(stands)))
    assert 0.93 <= np.mean(covered) <= 0.97
    assert np.mean(wrong) <= 0.05


def test_the_mean_over_evals_covers_the_truth_when_a_seed_lifts_all_evals_at_once() -> None:
    draw, covered = rng("together"), []
    for _ in range(400):
        lift = draw.normal(0, 0.05, 4)[:, None]
        tables = [lift + draw.normal(0.1, 0.3, (4, 30)) for _ in range(10)]
        known = mean(tables).interval()
        covered.append(known.low <= 0.1 <= known.high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_two_equal_arms_differ_at_the_nominal_rate_and_not_after_correction() -> None:
    draw, off, left = rng("a/a"), [], []
    for _ in range(40):
        tables = comparison(draw, 2, [0.0] * 60, 0.05)
        share = seed_share(tables)
        ps = [mean([t], share).p() for t in tables]
        off += [p < 0.05 for p in ps]
        left.append(any(q < 0.05 for q in adjusted(ps)))
    assert 0.03 <= np.mean(off) <= 0.07
    assert np.mean(left) <= 0.125


def test_equivalence_is_found_where_it_is_and_rarely_at_the_margin() -> None:
    draw = rng("tost")
    same = [mean([draw.normal(0.0, 0.1, (1, 200))]).equivalent(0.03) < 0.05 for _ in range(200)]
    edge = [mean([draw.normal(0.03, 0.1, (1, 200))]).equivalent(0.03) < 0.05 for _ in range(200)]
    assert np.mean(same) > 0.9
    assert np.mean(edge) <= 0.085


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    draw = rng("power")
    size = mean([draw.normal(0, 1, (1, 100))]).detectable()
    assert size is not None
    found = [mean([draw.normal(size, 1, (1, 100))]).p() < 0.05 for _ in range(400)]
    assert 0.72 <= np.mean(found) <= 0.88


def test_benjamini_hochberg_is_the_textbook_one() -> None:
    assert adjusted([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])


def test_the_sign_test_treats_a_family_as_one() -> None:
    assert sign_test({str(k): [1] for k in range(10)}) == pytest.approx(2 / 2**10)
    assert sign_test({"all of one kind": [1] * 10}) == 1.0
    assert sign_test({"a": [0], "b": []}) == 1.0


def test_shared_structure_is_found_only_where_it_is() -> None:
    draw = rng("models")
    common = draw.normal(size=(13, 1))
    shared = structure(common + 0.7 * draw.normal(size=(13, 20)))
    assert shared.spearman > shared.spearman_null[1] and shared.component > shared.component_null[1]
    alone = structure(draw.normal(size=(13, 20)))
    assert alone.spearman < alone.spearman_null[1] and alone.component < alone.component_null[1]
    regressed = structure(common + 0.7 * draw.normal(size=(13, 20)), common[:, 0])
    assert regressed.component < shared.component


def test_interval_with_seeds_is_wider_than_without_when_runs_differ() -> None:
    draw = rng("seeds")
    shifts = np.array([-0.1, 0.0, 0.1, 0.05])[:, None]
    differences = 0.1 + shifts + 0.05 * draw.standard_normal((4, 100))
    assert mean([differences]).error > 2 * mean([differences.mean(0, keepdims=True)]).error


def test_one_item_tells_nothing_and_equal_items_are_certain() -> None:
    assert mean([np.array([[0.5]])]).p() == 1
    assert mean([np.full((2, 5), 0.25)]).interval() == Interval(0.25, 0.25, 0.25)
    assert mean([np.zeros((1, 5))]).p() == 1
    assert mean([np.zeros((1, 5))]).detectable() is None


def scores(values: dict[str, list[float | None]], name: str = "heldout") -> list[Score]:
    return [
        Score(name, item, k, v, reason="" if v is not None else "no verdict")
        for item, vs in values.items()
        for k, v in enumerate(vs)
    ]


def test_an_item_is_the_mean_of_its_samples_and_ungraded_items_are_left_out_on_both_sides() -> None:
    value = attrgetter("value")
    ours = {0: by_item(scores({"a": [1.0, 0.0], "b": [1.0, None], "c": [1.0, 1.0]}), value)}
    theirs = {0: by_item(scores({"a": [0.0, 0.0], "b": [0.0, 0.0], "c": [1.0, 0.0]}), value)}
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
    assert all(e.difference.value == pytest.approx(0.3) and e.difference.low > 0.29 for e in found)
    assert [e.items for e in found] == [40, 20, 20]
    same = estimate("arm", base, base, Evaluation(), traits)
    assert all(e.difference == Interval(0, 0, 0) for e in same)


def test_what_could_not_be_scored_is_counted_and_never_a_zero() -> None:
    row = summary(scores({"a": [None], "b": [1.0]}))[0]
    assert row["score"] == 1.0
    assert row["items"] == 1
    assert row["ungraded"] == 1
    nothing = summary(scores({"a": [None]}))[0]
    assert nothing["score"] is None
