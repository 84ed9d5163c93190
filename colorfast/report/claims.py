"""The paper's claims and the verdict on each, in words and as a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from colorfast.analysis.claims import DOSE, Measured, Ruling
from colorfast.report.document import Block, Bullets, Paragraph, Section, note
from colorfast.report.table import Cell, Table
from colorfast.report.wording import between, number, percent, several, signed

ABOUT = note("claims")
OFTEN = "four times in five"
SYMBOLS = {
    "replicated": ("✓", "yes"),
    "not replicated": ("✗", "no"),
    "inconclusive": ("◐", "open"),
    "not measured": ("–", "none"),
}
"""By verdict: a symbol, so that color says nothing alone, and a class of the style sheet."""


def held(r: Ruling) -> str:
    """The arm that a claim is held against: `trait-25, 25% dose`, and the paper's dose beside
    another."""
    if r.dose is None:
        return "-"
    paper = "" if math.isclose(r.dose, DOSE) else f" (the paper's: {percent(DOSE)})"
    return f"{r.arm}, {percent(r.dose)} dose{paper}"


def ours(r: Ruling) -> str:
    """The run's numbers for a claim."""
    m = r.measured
    if m is None:
        return "-"
    value = f"{signed(m.difference.value)} ({between(m.difference)})"
    if r.claim.statistic == "wins":
        return f"{m.better} of {m.evals} better, {m.worse} worse"
    if r.claim.statistic == "standing":
        return f"{m.better} better, {m.worse} worse of {m.evals}, after Benjamini-Hochberg"
    if m.details:
        return f"holds in {m.better} of {m.evals} tests; falls less by {value} where it is least"
    if m.baseline is not None and m.score is not None:
        return f"{number(m.baseline)} to {number(m.score)}: {value}"
    return f"{value} over {m.evals} evals; {m.better} significantly better, {m.worse} worse"


def why(r: Ruling) -> str:
    """The reason for a verdict; for an inconclusive one, the smallest effect that the run could
    have seen."""
    m = r.measured
    if r.reason or m is None:
        return r.reason
    if r.verdict == "inconclusive":
        return seen(r, m) + (f" ({m.details})" if m.details else "")
    replicated, margin = r.verdict == "replicated", number(r.claim.margin)
    match r.claim.rule:
        case "signs" if not replicated and m.difference.high < r.claim.margin:
            most = percent(0.5 + r.claim.margin)
            return f"the share of wins lies below {most}, a third of the way to the paper's"
        case "signs":
            return f"sign test with families as clusters: p = {m.p:.3f}"
        case "stands" if replicated:
            net, third = percent(m.difference.value), percent(r.claim.margin)
            return f"better less worse is {net} of the evals; a third of the paper's is {third}"
        case "stands":
            return f"only {percent(m.difference.high)} of the evals leave room for a gain"
        case "kept" | "unraised" if replicated:
            return f"not inferior within {margin}"
        case "kept" | "unraised":
            return "a loss: the interval excludes none"
        case "persists":
            return m.details
        case "nothing" if replicated:
            return f"the interval lies below {margin}"
    if replicated or r.claim.rule == "nothing":
        return "the interval lies above zero"
    if m.difference.high < 0:
        return "the interval lies below zero"
    rise = "a rise, yet " if m.difference.low > 0 else ""
    return f"{rise}the interval lies below {margin}, a third of the paper's effect"


def seen(r: Ruling, m: Measured) -> str:
    """The smallest effect that the run would have found four times in five."""
    signs = r.claim.rule == "signs"
    if m.detectable is None:
        if signs and m.difference.value:
            return "too few families for a sign test"
        return "not one item differed: nothing is known"
    if r.claim.rule == "stands":
        return f"half of the evals would have shown a true gain of {number(m.detectable)} {OFTEN}"
    effect = f"a true difference of {number(m.detectable)}"
    if signs:
        share = 0.5 + m.detectable
        effect = f"a true share of wins of {percent(share)}" if share < 1 else "no share of wins"
    return f"{effect} would have been seen {OFTEN}"


def tally(rulings: Sequence[Ruling]) -> str:
    """`3 replicated, 1 not replicated, ...`"""
    return several([f"{n} {verdict}" for verdict, n in _counts(rulings)])


def _counts(rulings: Sequence[Ruling]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter(r.verdict for r in rulings)
    return [(verdict, counts[verdict]) for verdict in SYMBOLS if verdict in counts]


def table(title: str, rulings: Sequence[Ruling]) -> Table:
    """A row for each claim."""
    rows = [
        {
            "claim": r.claim.text,
            "verdict": Cell(r.verdict, kind="verdict"),
            "paper": r.claim.paper,
            "here": Cell(ours(r), "" if r.dose is None else held(r)),
            "why": why(r),
        }
        for r in rulings
    ]
    return Table(title, rows, ("verdict", "paper", "here", "why"), layout="stack claims")


def section(rulings: Sequence[Ruling]) -> Section:
    """The verdicts counted, then those that this run measures, then the others."""
    measured = [r for r in rulings if r.verdict != "not measured"]
    others = [r for r in rulings if r.verdict == "not measured"]
    counts = [
        Cell(verdict, f"{n} of {len(rulings)} claims", kind="verdict")
        for verdict, n in _counts(rulings)
    ]
    blocks: list[Block] = [Bullets(counts)]
    if measured:
        blocks.append(table("The paper's claims", measured))
    if others:
        title = f"{len(others)} of the paper's claims that this run does not measure, and why"
        blocks.append(Section(title, [table("Claims that are not measured", others)], folded=True))
    blocks.append(Paragraph(f"{ABOUT} In all {tally(rulings)}."))
    return Section("The paper's claims", blocks)


def plain(r: Ruling) -> dict[str, Any]:
    """A ruling as plain data, for CSV and JSON."""
    difference = r.measured.difference if r.measured else None
    numbers = {name: getattr(difference, name, None) for name in ("value", "low", "high")}
    for name in ("detectable", "p", "better", "worse", "evals"):
        numbers[name] = getattr(r.measured, name, None)
    return {
        "id": r.claim.id,
        "section": r.claim.section,
        "claim": r.claim.text,
        "paper": r.claim.paper,
        "effect": r.claim.effect or None,
        "margin": r.claim.margin,
        "here": ours(r),
        "arm": r.arm,
        "dose": r.dose,
        "verdict": r.verdict,
        "why": why(r),
        **numbers,
    }
