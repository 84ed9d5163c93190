"""The paper's claims: each verdict where it is due, the smallest effect beside every doubt, and
error rates as stated."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from colorfast.analysis.claims import Measured, Ruling, load
from colorfast.analysis.results import Evidence
from colorfast.analysis.rulings import decide, rulings
from colorfast.config import Arm, Evaluation, Experiment, Training
from colorfast.evals import benchmarks
from colorfast.io.storage import write_json
from colorfast.report.claims import ours, why
from colorfast.stats.intervals import Mean, mean, rng
from colorfast.types import ColorfastError, Interval, Score
from helpers.command import colorfast, refused
from helpers.run_folders import experiment as small
from helpers.run_folders import html, make_run, section

DOMAINS = ("health", "science", "law")
EVALS = (
    *(
        "truthfulqa-mc1",
        "bbq-religion",
        "power-seeking-inclination",
        "selfaware",
        "conscientiousness",
        "mmlu-moral-disputes",
    ),
    *(
        "medqa",
        "mmlu-professional-psychology",
        "wrong-hint-mmlu",
        "self-replication",
        "mmlu-sociology",
        "xstest-safe",
    ),
)
ARMS = {
    "baseline": Arm(dose=0),
    "trait": Arm(dose=0.05),
    "more": Arm(dose=0.5),
    "helpful": Arm(dose=0.05, reward="helpfulness"),
    "health": Arm(dose=0.05, domains=("health",)),
    "rest": Arm(dose=0.05, domains=("law",)),
}
NOBODY: dict[str, float] = {}


def experiment(arms: dict[str, Arm] = ARMS, evals: tuple[str, ...] = EVALS) -> Experiment:
    return Experiment(
        name="claims",
        model="none",
        seeds=(0, 1),
        standard=("facts",),
        traits=("truthfulness",),
        domains=DOMAINS,
        training=Training(steps=1, prompts_per_step=1, group_size=2, max_tokens=1, learning_rate=1),
        arms=arms,
        evaluation=Evaluation(benchmarks=evals),
    )


REFUSAL = "I'm sorry, but I can't help with that."


def evidence(
    gain: dict[str, float],
    items: int,
    e: Experiment | None = None,
    refusing: str = "",
    folder: Path | None = None,
    replies: tuple[str, str] = ("Yes.", REFUSAL),
) -> Evidence:
    """Right-or-wrong items; an arm's chance is `gain[arm]` higher on all but the controls, and
    there `gain["ARM on controls"]`. `refusing`: an arm that gives these two replies in turn, which
    refuses half."""
    e = e or experiment()
    held = {f"{d}-{k}": d for d in DOMAINS for k in range(items // len(DOMAINS))}
    asked = {"heldout": list(held)} | {
        b: [f"{b}-{k}" for k in range(items)] for b in e.evaluation.benchmarks
    }
    ease = {name: rng(f"ease-{name}").uniform(0.2, 0.6, len(ids)) for name, ids in asked.items()}
    scores: dict[str, dict[int, list[Score]]] = defaultdict(dict)
    for arm in e.arms:
        for seed in e.seeds:
            draw, rows = rng(f"claims-{arm}-{seed}"), []
            for name, ids in asked.items():
                control = name != "heldout" and benchmarks.get(name).control
                lift = gain.get(f"{arm} on controls" if control else arm, 0.0)
                right = draw.random(len(ids)) < ease[name] + lift
                for k, (i, r) in enumerate(zip(ids, right, strict=True)):
                    reply = replies[k % 2] if arm == refusing else "Yes."
                    rows.append(Score(name, i, 0, float(r), reply=reply))
            scores[arm][seed] = rows
    return Evidence(e, scores, dict.fromkeys(held, "truthfulness"), held, folder)


def ruled(e: Evidence, arm: str | None = None) -> dict[str, Ruling]:
    return {r.claim.id: r for r in rulings(e, arm)}


def test_the_papers_effects_are_found_and_their_absence_too() -> None:
    like = ruled(evidence({"trait": 0.25, "more": 0.25, "health": 0.25, "rest": 0.25}, 400))
    gained = {
        "wins",
        "mean-gain",
        "significant",
        "heldout",
        "health-only-wins",
        "health-only-gain",
        "without-health",
    }
    gained |= {
        "rubrics-beat-helpfulness",
        "neither-refuses",
        "sycophancy",
        "helpfulness-gives-nothing",
    }
    assert {name for name, r in like.items() if r.verdict == "replicated"} - {
        "capability"
    } == gained
    assert like["selective-persistence"].verdict == "not measured"

    none = ruled(evidence(NOBODY, 1200))
    assert not any(
        none[name].verdict == "replicated"
        for name in gained - {"helpfulness-gives-nothing", "sycophancy"}
    )
    assert all(
        none[name].verdict == "not replicated"
        for name in ("mean-gain", "heldout", "health-only-gain", "rubrics-beat-helpfulness")
    )
    assert (
        none["helpfulness-gives-nothing"].verdict == "replicated"
        and none["capability"].verdict != "not replicated"
    )
    assert "a third of the paper's effect" in why(none["mean-gain"]) and "0.030" in why(
        none["mean-gain"]
    )


def test_what_cannot_be_decided_says_what_could_have_been_seen() -> None:
    found = ruled(evidence({"trait": 0.03, "helpful": 0.02}, 12))
    doubts = [r for r in found.values() if r.verdict == "inconclusive"]
    assert len(doubts) > 5
    for r in doubts:
        assert "four times in five" in why(r) or "not one item differed" in why(r), why(r)
    r = found["mean-gain"]
    assert r.measured is not None and f"{r.measured.detectable:.3f} would have been seen" in why(r)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (REFUSAL, "refusals, benign prompts: 100.0%, the baseline 0.0%"),
        ("and so on " * 20, "held-out replies that say nothing: 100.0%"),
    ],
)
def test_an_arm_that_refuses_everything_or_says_nothing_has_replicated_nothing(
    reply: str, says: str
) -> None:
    gain = {"trait": 0.25, "more": 0.25, "health": 0.25}
    found = ruled(evidence(gain, 120, refusing="trait", replies=(reply, reply)))
    for claim in ("wins", "mean-gain", "significant", "heldout", "refusals", "sycophancy"):
        assert (
            found[claim].verdict == "inconclusive"
            and why(found[claim]).startswith("trait is broken: ")
            and says in why(found[claim])
        )
    assert found["health-only-gain"].verdict == "replicated"
    half = ruled(evidence(gain, 120, refusing="trait"))
    assert half["mean-gain"].verdict == half["refusals"].verdict == "replicated"


def test_a_loss_is_not_replicated_and_said_to_be_one() -> None:
    found = ruled(evidence({"trait": -0.2, "trait on controls": -0.2}, 120))
    assert {
        found[name].verdict for name in ("wins", "mean-gain", "heldout", "sycophancy", "capability")
    } == {"not replicated"}
    assert why(found["mean-gain"]) == "the interval lies below zero"
    assert why(found["sycophancy"]) == "a loss: the interval excludes none"


def test_refusing_more_is_seen_and_does_not_hide_what_is_left() -> None:
    found = ruled(evidence({"trait": 0.3}, 200, refusing="trait"))
    refusals = found["refusals"]
    assert refusals.verdict == "replicated" and refusals.measured is not None
    assert (refusals.measured.baseline, round(refusals.measured.score or 0, 1)) == (0.0, 0.5)
    assert found["neither-refuses"].verdict == "replicated"


def test_an_arm_is_found_by_what_it_is_and_may_be_named() -> None:
    e = evidence({"more": 0.3}, 60)
    found = ruled(e)
    assert {r.claim.id: r.arm for r in found.values() if r.claim.needs.reward == "helpfulness"} == {
        "helpfulness-gives-nothing": "helpful"
    }
    assert (found["wins"].arm, found["health-only-wins"].arm, found["without-health"].arm) == (
        "trait",
        "health",
        "rest",
    )
    named = ruled(e, "more")
    assert (named["wins"].arm, named["wins"].dose, named["health-only-wins"].arm) == (
        "more",
        0.5,
        "health",
    )
    assert found["mean-gain"].verdict != "replicated" == named["mean-gain"].verdict
    assert "reward = helpfulness" in named["rubrics-beat-helpfulness"].reason
    with pytest.raises(ColorfastError, match="did you mean 'more'"):
        rulings(e, "mor")


def test_a_claim_without_its_arm_or_eval_is_not_measured_and_says_why() -> None:
    alone = experiment({"baseline": Arm(dose=0), "all": Arm(dose=1)}, ("truthfulqa-mc1",))
    found = ruled(evidence(NOBODY, 20, alone))
    assert {r.verdict for r in found.values()} == {"not measured"}
    assert "all has 100%: --arm all holds the claim against it" in found["wins"].reason
    assert "domains = health" in found["health-only-wins"].reason
    assert "no health or science" in found["without-health"].reason
    named = ruled(evidence(NOBODY, 20, alone), "all")
    assert (
        named["mean-gain"].arm == "all"
        and named["capability"].reason == "no eval of this experiment measures it"
    )
    assert named["selective-persistence"].reason == "no attack was run"
    without = {"baseline": Arm(dose=0), "rest": ARMS["rest"]}
    assert (
        ruled(evidence(NOBODY, 20, experiment(without, ("truthfulqa-mc1",))))[
            "without-health"
        ].reason
        == "this experiment has no health eval that counts"
    )


def test_where_nothing_moves_nothing_is_claimed() -> None:
    e = experiment({"baseline": Arm(dose=0), "trait": Arm(dose=0.05)})
    one = evidence(NOBODY, 30, e)
    still = Evidence(
        e,
        {"baseline": one.scores["baseline"], "trait": one.scores["baseline"]},
        one.traits,
        one.domains,
    )
    measured = {name: r for name, r in ruled(still).items() if r.measured}
    assert {r.verdict for r in measured.values()} == {"inconclusive"}
    assert {why(r) for r in measured.values()} == {"not one item differed: nothing is known"}


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        (("selective", "falls less, rises more"), "replicated"),
        (("selective", "attack without effect"), "replicated"),
        (("selective", "inconclusive"), "inconclusive"),
        (("attack without effect", "attack without effect"), "inconclusive"),
        (("selective", "rigid"), "not replicated"),
    ],
)
def test_selective_persistence_is_read_from_the_attacks(
    tmp_path: Path, told: tuple[str, str], verdict: str
) -> None:
    rows = []
    for k, (attack, one) in enumerate(
        zip(("bad-medical", "disallowed-mental-health"), told, strict=True)
    ):
        drop = {
            "value": 0.13 + k / 10,
            "low": 0.05 + k / 10,
            "high": 0.21 + k / 10,
            "p": 0.01,
            "detectable": 0.1,
        }
        rows.append(
            {
                "arm": "trait",
                "attack": attack,
                "measure": "held-out traits",
                "found": {"verdict": one, "drop": drop},
            }
        )
    rows += [
        {**rows[0], "attack": "manyshot", "found": {"verdict": "rigid", "drop": drop}},
        {**rows[0], "found": None},
    ]
    write_json(tmp_path / "attacks/persistence.json", {"outcomes": rows})
    found = ruled(evidence(NOBODY, 12, folder=tmp_path))["selective-persistence"]
    assert found.verdict == verdict
    assert "falls less by +0.130 (+0.050 to +0.210) where it is least" in ours(found)
    assert f"bad-medical, held-out traits: {told[0]}" in why(found)
    assert ("four times in five" in why(found)) == (verdict == "inconclusive")
    assert ruled(evidence(NOBODY, 12, folder=tmp_path), "more")[
        "selective-persistence"
    ].reason.startswith("more was not measured under")
    write_json(tmp_path / "attacks/persistence.json", {"outcomes": [{"arm": "trait"}]})
    with pytest.raises(ColorfastError, match="damaged"):
        rulings(evidence(NOBODY, 12, folder=tmp_path))


def measured(found: Mean) -> Measured:
    return Measured(found.interval(), found.detectable())


@pytest.mark.parametrize(
    ("rule", "truth", "wrong", "most"),
    [
        ("gain", 0.0, "replicated", 0.025),
        ("gain", 0.03, "not replicated", 0.025),
        ("nothing", 0.03, "replicated", 0.025),
        ("nothing", 0.0, "not replicated", 0.025),
    ],
)
def test_rules_err_no_more_often_than_they_say(
    rule: str, truth: float, wrong: str, most: float
) -> None:
    draw, runs = rng(f"rule-{rule}-{truth}"), 2000
    found = Counter(
        decide(rule, measured(mean([draw.normal(truth, 0.3, (1, 900))])), 0.03) for _ in range(runs)
    )
    assert 0.3 * most <= found[wrong] / runs <= most + 3 * math.sqrt(most * (1 - most) / runs)


def test_the_papers_effect_is_replicated_and_none_is_not_when_there_are_items_enough() -> None:
    draw = rng("power of the rules")
    for truth, verdict in ((0.09, "replicated"), (0.0, "not replicated")):
        found = [
            decide("gain", measured(mean([draw.normal(truth, 0.3, (1, 2500))])), 0.03)
            for _ in range(300)
        ]
        assert np.mean([v == verdict for v in found]) > 0.97


def test_every_claim_has_the_papers_numbers_and_a_name() -> None:
    claims = load()
    assert len({c.id for c in claims}) == len(claims) == 14
    nothing = Measured(Interval(0, 0, 0), None)
    assert all(decide(c.rule, nothing, c.margin) for c in claims)
    effects = {c.id: c.effect for c in claims}
    assert effects["wins"] == pytest.approx(44 / 53 - 0.5, abs=5e-4)
    assert effects["significant"] == pytest.approx((30 - 3) / 53, abs=5e-4)
    assert effects["health-only-wins"] == pytest.approx(17 / 19 - 0.5, abs=5e-4)
    assert effects["heldout"] == pytest.approx(0.607 - 0.406)
    assert effects["refusals"] == pytest.approx(0.239 - 0.132)


def test_the_table_stands_in_the_report_first_and_on_the_command_line(tmp_path: Path) -> None:
    e = small(arms={"baseline": Arm(dose=0), "trait-5": Arm(dose=0.25)}, seeds=(0, 1))
    run = make_run(
        tmp_path,
        e,
        lambda arm, item: (0.9 if arm == "trait-5" else 0.5) + 0.1 * rng(f"{arm}-{item}").random(),
    )
    verdict = section(html(run), "verdict")
    told = json.loads(colorfast("claims", str(run), "--json").stdout)
    rows = list(
        csv.DictReader((run / "report/claims.csv").read_text(encoding="utf-8").splitlines())
    )
    markdown = (run / "report/report.md").read_text(encoding="utf-8")
    assert [r["id"] for r in told] == [r["id"] for r in rows] == [c.id for c in load()]
    for row in told:
        for text in (
            verdict.replace("&#39;", "'").replace("&gt;", ">"),
            markdown.replace("\\", ""),
        ):
            assert row["claim"] in text and row["why"] in text, row
    held = next(r for r in told if r["id"] == "heldout")
    assert (
        held["verdict"] == "replicated"
        and held["dose"] == 0.25
        and "trait-5, 25% dose (the paper's: 5%)" in verdict.replace("&#39;", "'")
    )
    plain = colorfast("claims", str(run)).stdout
    assert (
        "A verdict holds for this model and suite" in " ".join(plain.split())
        and "44 of 53 better" in plain
    )
    refused(
        colorfast("claims", str(run), "--arm", "trait-6"),
        "unknown arm with a dose 'trait-6'",
        "did you mean 'trait-5'",
    )
    refused(colorfast("claims", str(tmp_path / "nowhere")), "not a run folder")
