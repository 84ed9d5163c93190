"""Selective persistence: the verdict finds the simulated truth, and its numbers are the paper's
arithmetic."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from colorfast.io.folders import load_module
from colorfast.stats.intervals import rng
from colorfast.stats.persistence import (
    ALIKE,
    COLLAPSED,
    FURTHER,
    MORE,
    NO_EFFECT,
    OPEN,
    RIGID,
    SELECTIVE,
    STIFFER,
    UNTESTED,
    VERDICTS,
    AttackScores,
    area,
    halving,
    persistence,
)

BENCH = Path(__file__).parents[2] / "bench"
sys.path.append(str(BENCH))  # a bench imports what all of them share
bench = load_module(BENCH / "persistence.py")
sys.path.remove(str(BENCH))


def flat(*levels: float, items: int = 50, noise: float = 0.001) -> AttackScores:
    """A model at these clean, harmful and helpful levels, with hardly any noise."""
    draw = rng(f"flat-{levels}")
    return AttackScores(*([level + draw.normal(0, noise, (1, items))] for level in levels))


@pytest.mark.parametrize(
    ("truth", "items", "verdict", "least"),
    [
        ("selective", 1600, SELECTIVE, 0.85),
        ("falls alike", 1600, ALIKE, 0.85),
        ("falls further", 400, FURTHER, 0.9),
        ("rigid", 400, RIGID, 0.85),
        ("rises less", 400, STIFFER, 0.85),
        ("attack without effect", 400, NO_EFFECT, 0.9),
    ],
)
def test_the_verdict_finds_the_truth_where_there_are_items_enough(
    truth: str, items: int, verdict: str, least: float
) -> None:
    assert bench.rates(truth, 1, items, 60)[verdict] >= least


@pytest.mark.parametrize(
    "truth", ["falls alike", "falls further", "rigid", "rises less", "attack without effect"]
)
@pytest.mark.parametrize(("seeds", "items"), [(1, 40), (1, 400), (3, 400)])
def test_what_is_not_selective_is_seldom_called_so(truth: str, seeds: int, items: int) -> None:
    assert bench.rates(truth, seeds, items, 60).get(SELECTIVE, 0.0) <= 0.05


def test_lifts_that_differ_by_the_margin_are_called_equal_at_the_stated_rate() -> None:
    assert bench.rates("rises less by the margin", 1, 1600, 300).get(SELECTIVE, 0.0) <= 0.085


def test_few_items_leave_it_open_and_say_what_could_have_been_seen() -> None:
    rates = bench.rates("selective", 1, 40, 60)
    assert rates[OPEN] > 0.5
    p = persistence(*bench.simulate(rng("few"), 1, 40, *bench.TRUTHS["selective"]))
    assert p.verdict == OPEN and p.showable is not None and p.showable > 0.03
    assert f"{p.showable:.3f}" in p.why


def test_the_papers_arithmetic() -> None:
    p = persistence(flat(0.395, 0.144, 0.483), flat(0.455, 0.336, 0.548))
    assert p.drop.value == pytest.approx(0.132, abs=0.002)
    assert p.lift.value == pytest.approx(0.0045, abs=0.002)
    assert p.baseline.retained == pytest.approx(0.144 / 0.395, abs=0.002)
    assert p.arm.retained == pytest.approx(0.336 / 0.455, abs=0.002)
    assert p.baseline.scaled == pytest.approx((0.483 - 0.395) / (1 - 0.395), abs=0.002)
    assert p.retained is not None and p.retained.value == pytest.approx(
        0.336 / 0.455 - 0.144 / 0.395, abs=0.004
    )
    assert p.verdict == SELECTIVE and p.items == 50


@pytest.mark.parametrize(
    ("base", "arm", "verdict"),
    [
        ((0.4, 0.4, 0.5), (0.5, 0.5, 0.6), NO_EFFECT),
        ((0.4, 0.2, 0.5), (0.5, 0.5, 0.5), RIGID),
        ((0.4, 0.2, 0.5), (0.5, 0.45, 0.6), SELECTIVE),
        ((0.4, 0.2, 0.5), (0.5, 0.45, 0.7), MORE),
        ((0.4, 0.2, 0.5), (0.5, 0.45, 0.55), STIFFER),
        ((0.4, 0.2, 0.4), (0.5, 0.45, 0.5), UNTESTED),
        ((0.4, 0.2, 0.5), (0.5, 0.3, 0.6), ALIKE),
        ((0.4, 0.2, 0.5), (0.6, 0.3, 0.7), FURTHER),
    ],
)
def test_every_verdict_has_its_case(
    base: tuple[float, ...], arm: tuple[float, ...], verdict: str
) -> None:
    assert verdict in VERDICTS
    assert persistence(flat(*base, noise=0), flat(*arm, noise=0)).verdict == verdict


def test_a_larger_fall_that_keeps_the_same_share_says_so() -> None:
    assert "as large a share" in persistence(flat(0.4, 0.2, 0.5), flat(0.6, 0.31, 0.7)).why


def test_collapse_is_not_taken_for_misalignment() -> None:
    p = persistence(flat(0.4, 0.1, 0.5), flat(0.5, 0.45, 0.6), collapse=0.3)
    assert p.verdict == COLLAPSED and "30% more" in p.why


def test_a_share_of_a_level_that_may_be_zero_is_not_given() -> None:
    p = persistence(flat(0.0, -0.1, 0.1, noise=0.2), flat(0.5, 0.4, 0.6))
    assert p.baseline.retained is None and p.retained is None
    assert p.arm.retained == pytest.approx(0.8, abs=0.01)


def test_intervals_of_the_retained_share_cover_the_truth() -> None:
    draw, covered = rng("retained"), []
    for _ in range(300):
        base, own = bench.simulate(draw, 1, 100, (0.2, 0.1), (0.1, 0.1))
        p = persistence(base, own)
        assert p.retained is not None
        covered.append(p.retained.low <= 0.36 / 0.46 - 0.20 / 0.40 <= p.retained.high)
    assert 0.92 <= np.mean(covered) <= 0.98


def curves(levels: list[float], name: str, items: int = 200) -> list[list[np.ndarray]]:
    draw = rng(name)
    return [[level + draw.normal(0, 0.1, (1, items))] for level in levels]


def test_area_and_halving_are_those_of_the_drawn_curves() -> None:
    own, base = curves([0.6, 0.5, 0.4, 0.3], "own"), curves([0.4, 0.4, 0.3, 0.3], "base")
    between = area(own, base)
    assert (
        between.value == pytest.approx((0.2 / 2 + 0.1 + 0.1 + 0) / 3, abs=0.02)
        and between.low > 0.05
    )
    half = halving((0, 1, 4, 16), own, base)
    assert half.strength is not None
    assert half.strength.low <= half.strength.value and half.strength.low < 1.5
    never = halving((0, 1, 4, 16), own, curves([0.4, 0.3, 0.2, 0.1], "weak"))
    assert (never.strength, never.reason) == (None, "not halved at 16")
    assert (
        "no clear advantage"
        in halving((0, 1), curves([0.4, 0.3], "a"), curves([0.4, 0.3], "b")).reason
    )


def test_the_strength_of_halving_is_read_off_the_line() -> None:
    exact = [
        [[np.full((1, 20), v)] for v in levels] for levels in ([0.6, 0.5, 0.3], [0.2, 0.2, 0.2])
    ]
    at = halving((0, 1, 3), *exact).strength
    assert at is not None and at.value == pytest.approx(2.0)
