"""The paper's claims tested on a run: replicated, not replicated, inconclusive, or not measured.

A verdict is on this run's model and suite. Each rule states how often it errs (for the nominal
coverage of its interval); `bench/claims.py` simulates it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from colorfast.analysis.claims import DOSE, Claim, Measured, Needs, Ruling, Verdict, load
from colorfast.analysis.explanations import broken
from colorfast.analysis.results import Evidence, explained
from colorfast.analysis.statistics import STATISTICS, NotMeasuredError
from colorfast.config import Arm
from colorfast.io.validation import check_known
from colorfast.training.schedule import pool


def rulings(e: Evidence, arm: str | None = None) -> tuple[Ruling, ...]:
    """Every claim tested on the run. `arm`: the one for all claims on trait RL, and for the others
    where it fits. Raises ColorfastError for an unknown arm."""
    if arm is not None:
        check_known("arm with a dose", [arm], e.dosed)
    return tuple(_ruling(e, claim, arm) for claim in load())


def _ruling(e: Evidence, claim: Claim, chosen: str | None) -> Ruling:
    arms = e.experiment.arms
    fit = [name for name in e.dosed if _fits(claim.needs, arms[name], e)]
    below = [name for name in fit if arms[name].dose < 1]
    if chosen is not None and (chosen in fit or claim.needs == Needs()):
        arm = chosen
    elif below:
        arm = min(below, key=lambda name: abs(math.log(arms[name].dose / DOSE)))
    else:
        return Ruling(claim, "not measured", reason=_no_arm(claim.needs, fit))
    dose = arms[arm].dose
    try:
        measured = STATISTICS[claim.statistic](e, claim, arm)
    except NotMeasuredError as error:
        return Ruling(claim, "not measured", arm, dose, reason=str(error))
    why = broken(explained(e, arm))
    if why:
        return Ruling(claim, "inconclusive", arm, dose, measured, f"{arm} is broken: {why}")
    return Ruling(claim, RULES[claim.rule](measured, claim.margin), arm, dose, measured)


def _fits(needs: Needs, arm: Arm, e: Evidence) -> bool:
    """Whether an arm is the one that a claim needs, at any dose above 0."""
    selection = {"dose", "reward", "traits", "domains", "not_traits", "not_domains"}
    if arm.reward != needs.reward:
        return False
    if arm.model_dump(exclude=selection) != Arm(dose=0).model_dump(exclude=selection):
        return False
    rows = pool(e.experiment, arm)
    domains, every = {s.domain for s in rows}, set(e.domains.values())
    if not {s.trait for s in rows} >= set(e.traits.values()):
        return False
    if needs.domains:
        return domains == set(needs.domains)
    if needs.without:
        return domains == every - set(needs.without) != every
    return domains >= every


def _no_arm(needs: Needs, fit: Sequence[str]) -> str:
    parts = [f"reward = {needs.reward}", "every trait"]
    if needs.domains:
        parts.append(f"domains = {', '.join(needs.domains)}")
    elif needs.without:
        parts.append(f"no {' or '.join(needs.without)}")
    full = f" ({fit[0]} has 100%: --arm {fit[0]} holds the claim against it)" if fit else ""
    return (
        f"no arm of this experiment has {', '.join(parts)} and a dose above 0 and below 100%{full}"
    )


def _below(m: Measured, margin: float) -> bool:
    """The interval lies below the margin, and something moved."""
    return m.difference.high < margin and m.detectable is not None


def _gain(m: Measured, margin: float) -> Verdict:
    """Not replicated: the interval lies below the margin (wrong at most .025 of the time where the
    true gain is a third of the paper's or more), whether there is a gain or not. Replicated:
    otherwise, when it lies above zero (wrong at most .025 of the time where there is no gain)."""
    if _below(m, margin):
        return "not replicated"
    return "replicated" if m.difference.low > 0 else "inconclusive"


def _signs(m: Measured, margin: float) -> Verdict:
    """The same for counts of evals: not replicated by the interval over families, replicated by the
    exact sign test with families as clusters."""
    clear = m.p is not None and m.p < 0.05
    if _below(m, margin) or (clear and m.difference.value < 0):
        return "not replicated"
    return "replicated" if clear and m.difference.value > 0 else "inconclusive"


def _stands(m: Measured, margin: float) -> Verdict:
    """Replicated: the share significantly better minus the share significantly worse is a third of
    the paper's or more (without any gain, Benjamini-Hochberg finds even one at most .05 of the
    time). Not replicated: so many evals exclude a gain that fewer than that are left."""
    if m.difference.value >= margin:
        return "replicated"
    return "not replicated" if m.difference.high < margin else "inconclusive"


def _kept(m: Measured, margin: float) -> Verdict:
    """Replicated: not inferior within the margin (wrong at most .05 of the time where the true loss
    is the margin or more). Not replicated: a loss beyond it, or an interval below zero (wrong at
    most .025 of the time where nothing is lost)."""
    if m.outcome == "kept":
        return "replicated"
    return "not replicated" if m.outcome == "lost" or m.difference.high < 0 else "inconclusive"


def _unraised(m: Measured, margin: float) -> Verdict:
    """The same where a rise is the loss."""
    i = m.difference
    return _kept(replace(m, difference=replace(i, low=-i.high, high=-i.low)), margin)


def _nothing(m: Measured, margin: float) -> Verdict:
    """Replicated: the interval lies below the margin (wrong at most .025 of the time where the true
    gain is the margin or more). Not replicated: it lies above zero (wrong at most .025 of the time
    where there is no gain)."""
    if _below(m, margin):
        return "replicated"
    return "not replicated" if m.difference.low > 0 else "inconclusive"


def _persists(m: Measured, margin: float) -> Verdict:
    """Replicated: under every attack the arm falls less (interval above zero), and rises as much
    (equivalent within the margin) or more. Not replicated: under one it falls as much or further,
    rises less, or does not move. See docs/attacks.md."""
    if m.outcome == "kept":
        return "replicated"
    return "not replicated" if m.outcome == "lost" else "inconclusive"


RULES: Mapping[str, Callable[[Measured, float], Verdict]] = {
    "gain": _gain,
    "signs": _signs,
    "stands": _stands,
    "kept": _kept,
    "unraised": _unraised,
    "nothing": _nothing,
    "persists": _persists,
}
