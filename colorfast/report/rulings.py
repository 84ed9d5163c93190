"""Verdicts on the paper's claims, in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from colorfast.analysis.claims import DOSE, Measured, Ruling
from colorfast.report.wording import between, number, percent, several, signed

ABOUT = (
    "A verdict is on this model and suite, and errs by itself: the rates stand in docs/claims.md. A"
    " third of the paper's effect is the margin below which a claim counts as not replicated."
)

FOUR = " four times in five"


def held(r: Ruling) -> str:
    """Whom a claim was held against: `trait-25, 25% dose`, with the paper's dose beside another."""
    if r.dose is None:
        return "-"
    same = math.isclose(r.dose, DOSE)
    return f"{r.arm}, {percent(r.dose)} dose" + ("" if same else f" (the paper's: {percent(DOSE)})")


def ours(r: Ruling) -> str:
    """The run's numbers for a claim."""
    m = r.measured
    if m is None:
        return "-"
    difference = f"{signed(m.difference.value)} ({between(m.difference)})"
    if r.claim.statistic == "wins":
        return f"{m.better} of {m.evals} better, {m.worse} worse"
    if r.claim.statistic == "standing":
        return f"{m.better} better, {m.worse} worse of {m.evals}, after Benjamini-Hochberg"
    if m.said:
        return (
            f"holds in {m.better} of {m.evals} tests; falls less by {difference} where it is least"
        )
    if m.baseline is not None and m.score is not None:
        return f"{number(m.baseline)} to {number(m.score)}: {difference}"
    return f"{difference} over {m.evals} evals; {m.better} significantly better, {m.worse} worse"


def why(r: Ruling) -> str:
    """What the verdict rests on; for one that is inconclusive, the smallest effect that could have
    been seen."""
    m = r.measured
    if r.reason or m is None:
        return r.reason
    if r.verdict == "inconclusive":
        return seen(r, m) + (f" ({m.said})" if m.said else "")
    rule, margin, found = r.claim.rule, number(r.claim.margin), m.difference
    third = f"{margin}, a third of the paper's effect"
    if rule == "signs":
        sign = f"sign test with families as clusters: p = {m.p:.3f}"
        most = (
            f"the share of wins lies below {percent(0.5 + r.claim.margin)}, a third of the way to"
            " the paper's"
        )
        return most if r.verdict == "not replicated" and found.high < r.claim.margin else sign
    if rule == "stands":
        net = (
            f"better less worse is {percent(found.value)} of the evals; a third of the paper's is"
            f" {percent(r.claim.margin)}"
        )
        return (
            net
            if r.verdict == "replicated"
            else f"only {percent(m.difference.high)} of the evals leave room for a gain"
        )
    if rule in ("kept", "unraised"):
        return (
            f"not inferior within {margin}"
            if r.verdict == "replicated"
            else "a loss: the interval excludes none"
        )
    if rule == "persists":
        return m.said
    if rule == "nothing":
        return (
            f"the interval lies below {margin}"
            if r.verdict == "replicated"
            else "the interval lies above zero"
        )
    if r.verdict == "replicated":
        return "the interval lies above zero"
    rise = "a rise, yet " if found.low > 0 else ""
    return f"{rise}the interval lies below {'zero' if found.high < 0 else third}"


def seen(r: Ruling, m: Measured) -> str:
    """The smallest effect that would have been found four times in five."""
    if m.detectable is None:
        return (
            "too few families for a sign test"
            if r.claim.rule == "signs" and m.difference.value
            else "not one item differed: nothing is known"
        )
    if r.claim.rule == "stands":
        return f"half of the evals would have shown a true gain of {number(m.detectable)}{FOUR}"
    if r.claim.rule != "signs":
        return f"a true difference of {number(m.detectable)} would have been seen{FOUR}"
    share = 0.5 + m.detectable
    what = f"a true share of wins of {percent(share)}" if share < 1 else "no share of wins"
    return f"{what} would have been seen{FOUR}"


ORDER = ("replicated", "not replicated", "inconclusive", "not measured")
MARKS = {
    "replicated": ("✓", "yes"),
    "not replicated": ("✗", "no"),
    "inconclusive": ("◐", "open"),
    "not measured": ("–", "none"),
}
"""A symbol for each verdict, so that colour says nothing alone, and its class on the page."""


def counted(found: Iterable[Ruling]) -> list[tuple[str, int]]:
    """How often each verdict was given."""
    return sorted(Counter(r.verdict for r in found).items(), key=lambda c: ORDER.index(c[0]))


def tally(found: Iterable[Ruling]) -> str:
    """`3 replicated, 1 not replicated, ...`"""
    return several([f"{n} {verdict}" for verdict, n in counted(found)])


COLUMNS = ("claim", "paper", "here", "held against", "verdict", "why")


def row(r: Ruling) -> tuple[str, str, str, str, str, str]:
    """A line of the table, by COLUMNS."""
    return r.claim.text, r.claim.paper, ours(r), held(r), r.verdict, why(r)
