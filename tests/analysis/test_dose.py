"""Dose and response: a simulated curve is recovered, a flat one is not named, and error rates are
the stated ones."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from colorfast.analysis.dose import Point, series, smallest
from colorfast.analysis.dose_curve import FEWEST, Fit, Gains, fitted, gains
from colorfast.analysis.results import Evidence
from colorfast.config import Arm, Evaluation, Experiment, Training
from colorfast.stats.intervals import Table, mean, rng, seed_share
from colorfast.types import Interval, Score
from helpers.run_folders import experiment as small
from helpers.run_folders import html, make_run, printed, section

DOSES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
C = 0.05
HALF = C / (2 * C + 1)
"""The dose with half of the gain of dose 1 on a saturating curve of half-saturation C."""


def saturating(dose: float, top: float) -> float:
    return top * dose * (C + 1) / (C + dose)


def simulated(
    draw: np.random.Generator,
    truth: list[float],
    seeds: int = 2,
    items: int = 90,
    drift: float = 0.02,
) -> list[Table]:
    """Differences [seeds, items] of each dose from one baseline: right-or-wrong items of all
    difficulties, gains that differ over items, and a shift of every run."""
    ease, taste = draw.uniform(0.1, 0.5, items), 1 + draw.normal(0, 0.5, items)

    def arm(gain: float) -> Table:
        return (
            draw.random((seeds, items))
            < ease + gain * taste + draw.normal(0, drift, seeds)[:, None]
        ).astype(float)

    base = arm(0.0)
    return [arm(gain) - base for gain in truth]


def measured(
    draw: np.random.Generator, truth: list[float], evals: int = 10
) -> list[tuple[Gains, list[Point]]]:
    """Gains and points of several evals that share what is known of run-to-run variance."""
    tables = [simulated(draw, truth) for _ in range(evals)]
    share = seed_share([t for one in tables for t in one])
    made = []
    for one in tables:
        means = [mean([t], share) for t in one]
        points = [
            Point(d, f"d{d}", m.interval(), m.detectable())
            for d, m in zip(DOSES, means, strict=True)
        ]
        made.append((gains(DOSES, one, means), points))
    return made


def many(name: str, truth: list[float], runs: int) -> list[tuple[Fit | None, list[Point]]]:
    draw = rng(name)
    return [
        (fitted(g, f"{name}-{r}-{k}"), points)
        for r in range(runs)
        for k, (g, points) in enumerate(measured(draw, truth))
    ]


def test_a_saturating_curve_is_recovered_at_the_stated_rate() -> None:
    found = [fit for fit, _ in many("recovered", [saturating(d, 0.3) for d in DOSES], 40)]
    curves = [f for f in found if f and f.kind == "saturating"]
    halves = [f.half for f in curves if f.half]
    assert len(halves) > 0.9 * len(found)
    assert 0.91 <= np.mean([h.low <= HALF <= h.high for h in halves]) <= 0.98
    assert np.median([h.value for h in halves]) == pytest.approx(HALF, rel=0.2)
    assert len(curves) > 0.95 * len(found)  # a true saturating curve is seldom said to misfit
    last = [f.line[-1] for f in curves]
    assert 0.91 <= np.mean([low <= 0.3 <= high for _, _, low, high in last]) <= 0.98


def test_a_flat_curve_is_not_identified_and_names_no_dose() -> None:
    found = many("flat", [0.0] * len(DOSES), 40)
    assert (
        np.mean([fit is not None for fit, _ in found]) <= 0.08
    )  # the largest dose's interval errs one time in twenty
    assert np.mean([smallest(points, +1) is not None for _, points in found]) <= 0.045
    assert np.mean([fit is not None and fit.half is not None for fit, _ in found]) <= 0.05


def test_no_dose_without_a_gain_is_named_beyond_the_stated_rate() -> None:
    truth = [0.0, 0.0, 0.0, 0.0, 0.3, 0.3, 0.3]
    named = [smallest(points, +1) for _, points in many("fixed sequence", truth, 30)]
    assert np.mean([d is not None for d in named]) > 0.95
    assert np.mean([d is not None and d < 0.25 for d in named]) <= 0.045


def test_the_sequence_starts_at_the_largest_dose_and_stops_at_the_first_doubt() -> None:
    def points(*lows: float) -> list[Point]:
        return [
            Point(d, "", Interval(low + 0.1, low, low + 0.2), None)
            for d, low in zip(DOSES, lows, strict=False)
        ]

    assert smallest(points(0.1, -0.1, 0.1, 0.1), +1) == DOSES[2]
    assert smallest(points(0.1, 0.1, -0.1), +1) is None
    assert smallest(points(0.1, 0.1), +1) == DOSES[0]
    assert smallest(points(-0.5, -0.4), -1) == DOSES[0]


def test_a_gain_that_is_lost_again_is_no_saturating_curve() -> None:
    tables = simulated(rng("umbrella"), [0.0, 0.0, 0.35, 0.4, 0.4, 0.4, 0.2], items=300)
    fit = fitted(gains(DOSES, tables, [mean([t]) for t in tables]), "umbrella")
    assert fit is not None and fit.kind == "monotone" and fit.misfit < 0.01
    assert "does not fit" in fit.reason and "without an interval" in fit.reason
    values = [v for _, v, _, _ in fit.line]
    assert values == sorted(values)


def test_a_loss_has_a_curve_too() -> None:
    tables = [
        -t for t in simulated(rng("loss"), [saturating(d, 0.3) for d in DOSES], seeds=3, items=300)
    ]
    fit = fitted(gains(DOSES, tables, [mean([t]) for t in tables]), "loss")
    assert (
        fit is not None
        and fit.half is not None
        and fit.line[-1][1] == pytest.approx(-0.3, abs=0.08)
    )


def test_a_fit_has_the_same_numbers_every_time() -> None:
    g = measured(rng("again"), [saturating(d, 0.3) for d in DOSES], evals=1)[0][0]
    assert fitted(g, "a") == fitted(g, "a") != fitted(g, "b")


def experiment(**arms: Arm) -> Experiment:
    return Experiment(
        name="doses",
        model="none",
        standard=("facts",),
        training=Training(steps=1, prompts_per_step=1, group_size=2, max_tokens=1, learning_rate=1),
        arms={"baseline": Arm(dose=0)} | arms,
        evaluation=Evaluation(benchmarks=("truthfulqa-mc1", "xstest-safe", "mmlu-sociology")),
    )


def evidence(gain: dict[str, float], e: Experiment, items: int = 120) -> Evidence:
    """Two seeds of every arm: held-out scenarios gain `gain[arm]`, XSTest's safe prompts lose half
    of it, the rest stays."""
    traits = {f"h-{k}": "truthfulness" for k in range(items)}
    scores = {}
    for name in e.arms:
        scores[name] = {}
        for seed in (0, 1):
            draw, chance = rng(f"{name}-{seed}"), 0.3 + gain[name]
            rows = [
                Score("heldout", item, 0, float(draw.random() < chance), reply="Yes.")
                for item in traits
            ]
            for b, right in (
                ("truthfulqa-mc1", 0.5),
                ("xstest-safe", 0.95 - gain[name] / 2),
                ("mmlu-sociology", 0.5),
            ):
                rows += [
                    Score(b, f"{b}-{k}", 0, float(draw.random() < right), reply="Yes.")
                    for k in range(items)
                ]
            scores[name][seed] = rows
    return Evidence(e, scores, traits, {})


def test_arms_that_differ_in_dose_alone_are_one_series() -> None:
    arms = {f"trait-{n}": Arm(dose=n / 100) for n in (5, 25, 100)} | {
        "help-5": Arm(dose=0.05, reward="helpfulness"),
        "help-100": Arm(dose=1, reward="helpfulness"),
        "health": Arm(dose=0.05, domains=("health",)),
    }
    e = experiment(**arms)
    gain = {
        name: saturating(arm.dose, 0.4 if arm.reward == "rubric" else 0.0) if arm.dose else 0.0
        for name, arm in e.arms.items()
    }
    trait, helpful = sorted(series(evidence(gain, e)), key=lambda s: s.label, reverse=True)
    assert [name for _, name in trait.arms] == [
        "trait-5",
        "trait-25",
        "trait-100",
    ] and trait.label == "reward rubric"
    assert [name for _, name in helpful.arms] == [
        "help-5",
        "help-100",
    ] and helpful.label == "reward helpfulness"

    held, truth, *controls = trait.evals
    assert (held.name, truth.name) == ("heldout", "truthfulqa-mc1") and all(
        c.control for c in controls
    )
    assert held.gain == 0.05 and held.loss is None and held.half is not None
    assert (
        truth.gain is None
        and "no difference stands clear" in truth.reason
        and "four times in five" in truth.reason
    )
    pays = {p.name: p.pays for p in trait.prices}
    assert pays["over-refusal of safe prompts"] in (0.05, 0.25) and pays["capability"] is None
    assert trait.overall is not None and len(trait.overall.points) == 3
    assert helpful.evals[0].reason == f"2 doses above 0; a curve wants {FEWEST}"


def test_an_experiment_without_doses_has_no_series() -> None:
    e = experiment(trait=Arm(dose=0.05), health=Arm(dose=0.25, domains=("health",)))
    assert series(evidence({"baseline": 0.0, "trait": 0.1, "health": 0.1}, e)) == ()


def test_the_report_draws_the_curve_and_names_the_doses(tmp_path: Path) -> None:
    arms = {"baseline": Arm(dose=0)} | {f"trait-{n}": Arm(dose=n / 100) for n in (25, 50, 100)}

    def value(arm: str, item: str) -> float:
        """A gain from 50% on alone."""
        return 0.4 + 0.02 * float(rng(f"{arm}-{item}").normal()) + 0.3 * (arms[arm].dose > 0.3)

    run = make_run(tmp_path, small(arms=arms), value)
    words = section(html(run), "response")
    assert "gain from 50%" in words and "half of the gain at" in words
    rows = list(
        csv.DictReader((run / "report/response.csv").read_text(encoding="utf-8").splitlines())
    )
    held = [r for r in rows if r["eval"] == "heldout"]
    assert [
        (r["arm"], float(r["dose"]), float(r["effective"]), float(r["gain_from"])) for r in held
    ] == [(f"trait-{n}", n / 100, n / 100, 0.5) for n in (25, 50, 100)]
    assert held[0]["not_identified"].startswith("a saturating curve does not fit")
    svg = re.sub(r"<[^>]*>", "", (run / "report/response.svg").read_text(encoding="utf-8"))
    assert all(text in svg for text in ("Held-out traits", "0%", "25%", "50%", "100%"))
    assert "held-out traits by dose (reward rubric): gain from 50%" in printed(run, 300)
