"""The paper's claims tested on a run: replicated, not replicated, inconclusive, or not measured.

A verdict is on this run's model and suite. `bench/claims.py` simulates how often the rules err.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    return Ruling(claim, decide(claim.rule, measured, claim.margin), arm, dose, measured)


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


def decide(rule: str, m: Measured, margin: float) -> Verdict:
    """The verdict of a rule on what was measured. Each wrong verdict happens at most .025 of the
    time where its condition is an end of an interval.

    - gain: the interval lies below the margin, a third of the paper's effect: not replicated,
      whether there is a gain or not. Otherwise above zero: replicated.
    - signs: the same for counts of evals, by the interval over families, with the exact sign test
      (families as clusters) in place of zero.
    - stands: the share significantly better minus the share significantly worse reaches the margin
      (without any gain, Benjamini-Hochberg finds even one at most .05 of the time); not replicated
      when so many evals exclude a gain that fewer than that are left.
    - kept, unraised: not inferior within the margin (wrong at most .05 of the time where the true
      loss is the margin or more); not replicated: a loss beyond it, or an interval that excludes
      no loss. A fall is the loss of `kept`, a rise that of `unraised`.
    - nothing: the interval lies below the margin; not replicated: it lies above zero.
    - persists: under every attack the arm falls less, and rises as much (equivalent within the
      margin) or more; not replicated: under one it falls as much or further, rises less, or does
      not move (docs/attacks.md).
    """
    i = m.difference
    below = i.high < margin and m.detectable is not None
    clear = m.p is not None and m.p < 0.05
    kept, lost = m.outcome == "kept", m.outcome == "lost"
    # replicated, else not replicated, else inconclusive
    replicated, refuted = {
        "gain": (i.low > 0 and not below, below),
        "signs": (clear and i.value > 0 and not below, below or (clear and i.value < 0)),
        "stands": (i.value >= margin, i.high < margin),
        "kept": (kept, lost or i.high < 0),
        "unraised": (kept, lost or i.low > 0),
        "nothing": (below, i.low > 0),
        "persists": (kept, lost),
    }[rule]
    if replicated:
        return "replicated"
    return "not replicated" if refuted else "inconclusive"
