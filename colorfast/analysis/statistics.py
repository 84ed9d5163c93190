"""The statistics of the paper's claims: (evidence, claim, arm) -> what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from colorfast.analysis.claims import Claim, Measured, load
from colorfast.analysis.compare import Difference, Overall, family_signs, overall
from colorfast.analysis.explanations import CAPABILITY, NEITHER, REFUSALS, SYCOPHANCY, Outcome
from colorfast.analysis.results import Evidence, compared, estimates, explained
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT
from colorfast.io.storage import read_json
from colorfast.runs.layout import BASELINE
from colorfast.stats.intervals import win_share
from colorfast.stats.persistence import FAILS, HOLDS, NO_EFFECT
from colorfast.types import ColorfastError, Interval

PREFIXES = ("bad-medical", "disallowed-mental-health")
"""The paper's attacks."""


class NotMeasuredError(Exception):
    """The run does not hold what a statistic needs. The text is the reason."""


def _counted(
    e: Evidence, claim: Claim, arm: str, against: str = BASELINE
) -> tuple[Overall, list[Difference]]:
    """The counted evals that a claim is about, together and one by one."""
    rows = [d for d in compared(e, arm, against) if d.metric.counted]
    kind = ""
    if claim.evals != "counted":
        health = claim.evals == "health"
        kind = f"{claim.evals} "
        rows = [d for d in rows if d.metric.eval != HELDOUT]
        rows = [d for d in rows if (d.metric.family in benchmarks.HEALTH) == health]
    total = overall(rows)
    if total is None:
        raise NotMeasuredError(f"this experiment has no {kind}eval that counts")
    return total, rows


def gain(e: Evidence, claim: Claim, arm: str, against: str = BASELINE) -> Measured:
    """The mean difference over evals; counts the evals significant after Benjamini-Hochberg."""
    o, _ = _counted(e, claim, arm, against)
    better, worse = o.significant_wins, o.significant_losses
    return Measured(o.difference, o.detectable, better=better, worse=worse, evals=o.evals)


def wins(e: Evidence, claim: Claim, arm: str) -> Measured:
    """The share of evals with a higher score, minus one half. Ties count half; families are
    clusters."""
    o, rows = _counted(e, claim, arm)
    share = win_share(family_signs(rows))
    i = share.interval()
    return Measured(
        Interval(i.value - 0.5, i.low - 0.5, i.high - 0.5).clipped(-0.5, 0.5),
        share.detectable(),
        better=o.wins,
        worse=o.losses,
        evals=o.evals,
        p=o.sign_p,
    )


def standing(e: Evidence, claim: Claim, arm: str) -> Measured:
    """The share of evals significantly better minus the share significantly worse, after
    Benjamini-Hochberg. The interval's upper end is the share of evals that do not exclude a third
    of the paper's mean gain; `detectable` is the median eval's."""
    o, rows = _counted(e, claim, arm)
    better, worse = o.significant_wins, o.significant_losses
    least = next(c.margin for c in load() if c.id == "mean-gain")
    evals = [d.estimate for d in rows]
    possible = sum(row.difference.high >= least or row.detectable is None for row in evals)
    seen = sorted(row.detectable for row in evals if row.detectable is not None)
    value = (better - worse) / o.evals
    return Measured(
        Interval(value, min(value, 0.0), possible / len(evals)),
        seen[len(seen) // 2] if seen else None,
        better=better,
        worse=worse,
        evals=o.evals,
    )


def heldout(e: Evidence, claim: Claim, arm: str) -> Measured:
    """The score on the held-out scenarios."""
    for row in estimates(e, arm):
        if row.eval == HELDOUT:
            return Measured(row.difference, row.detectable, row.baseline, row.score)
    raise NotMeasuredError("no held-out scenario was graded in both arms")


def over_helpfulness(e: Evidence, claim: Claim, arm: str) -> Measured:
    """The mean difference over evals from the arm that trains on the same scenarios and is rewarded
    for generic helpfulness."""
    same = e.experiment.arms[arm].model_copy(update={"reward": "helpfulness"})
    for name in e.dosed:
        if name != arm and e.experiment.arms[name] == same:
            return gain(e, claim, arm, name)
    raise NotMeasuredError(
        f"no arm has the scenarios and the dose of {arm} with reward = helpfulness"
    )


def explanation(what: str, e: Evidence, claim: Claim, arm: str) -> Measured:
    """One of the other explanations."""
    row = next(row for row in explained(e, arm) if row.what == what)
    if row.difference is None:
        raise NotMeasuredError(row.reason)
    return Measured(row.difference, row.detectable, row.baseline, row.score, outcome=row.outcome)


def persistence(e: Evidence, claim: Claim, arm: str) -> Measured:
    """How much less the arm falls than the baseline under the paper's attacks, where that is least,
    and the verdicts of these attacks. One without effect is left out where there are others."""
    path = e.folder / "attacks" / "persistence.json" if e.folder else None
    if path is None or not path.is_file():
        raise NotMeasuredError("no attack was run")
    verdicts: dict[str, str] = {}
    drops: dict[str, Measured] = {}
    try:
        for row in read_json(path)["outcomes"]:
            if row["arm"] == arm and row["attack"] in PREFIXES and row["found"]:
                name, drop = f"{row['attack']}, {row['measure']}", row["found"]["drop"]
                verdicts[name] = str(row["found"]["verdict"])
                interval = Interval(drop["value"], drop["low"], drop["high"])
                drops[name] = Measured(interval, drop["detectable"])
    except (TypeError, KeyError):
        raise ColorfastError(
            f"{path}: damaged, or written by another version; run the attack again"
        ) from None
    if not verdicts:
        raise NotMeasuredError(f"{arm} was not measured under {' or '.join(PREFIXES)}")
    names = [name for name in verdicts if verdicts[name] != NO_EFFECT] or list(verdicts)
    holds = sum(verdicts[name] in HOLDS for name in names)
    fails = sum(verdicts[name] in FAILS for name in names)
    outcome: Outcome = "lost" if fails else "kept" if holds == len(names) else "inconclusive"
    return replace(
        min((drops[name] for name in names), key=lambda m: m.difference.low),
        better=holds,
        worse=fails,
        evals=len(names),
        outcome=outcome,
        details="; ".join(f"{name}: {verdict}" for name, verdict in verdicts.items()),
    )


STATISTICS: Mapping[str, Callable[[Evidence, Claim, str], Measured]] = {
    "gain": gain,
    "wins": wins,
    "standing": standing,
    "heldout": heldout,
    "over_helpfulness": over_helpfulness,
    "refusals": partial(explanation, REFUSALS),
    "neither_refuses": partial(explanation, NEITHER),
    "capability": partial(explanation, CAPABILITY),
    "sycophancy": partial(explanation, SYCOPHANCY),
    "persistence": persistence,
}
