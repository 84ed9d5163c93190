"""The report's tables for a program to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain

from colorfast.analysis.estimate import Estimate
from colorfast.report import attacks, claims
from colorfast.report.findings import Findings
from colorfast.report.sources import sources
from colorfast.report.table import Row, as_csv
from colorfast.report.wording import clean
from colorfast.stats.rows import columns, flat


def tables(f: Findings) -> dict[str, str]:
    """Each table that has rows, by name, as CSV; the estimates always."""
    tables = {
        "claims": map(claims.plain, f.rulings),
        "response": _responses(f),
        "transfer": _transfer(f),
        "explanations": map(flat, f.explanations),
        "learning": _learning(f),
        "replies": _replies(f),
        "sources": sources(f.experiment.evaluation),
        "unmeasured": map(asdict, f.unmeasured),
        "attacks": attacks.outcomes(f.attacks) if f.attacks else (),
        "attack-levels": attacks.levels(f.attacks) if f.attacks else (),
    }
    texts = {"estimates": as_csv(flat(f.estimates), columns(Estimate))}
    for name, rows in tables.items():
        if listed := list(rows):
            texts[name] = as_csv(listed)
    return texts


def _responses(f: Findings) -> Iterator[Row]:
    """A row for every dose of every eval and price. Each row repeats what holds for its whole
    curve."""
    effective = {arm.name: arm.effective for arm in f.arms}
    for s in f.series:
        for r in (*s.evals, *([s.overall] if s.overall else ()), *s.prices):
            half = r.half
            for p in r.points:
                yield {
                    "series": s.label,
                    "eval": r.name,
                    "effective": effective[p.arm],
                    **flat(p),
                    "gain_from": r.gain,
                    "loss_from": r.loss,
                    "pays_from": r.pays,
                    "half": half.value if half else None,
                    "half_low": half.low if half else None,
                    "half_high": half.high if half else None,
                    "misfit": r.fit.misfit if r.fit else None,
                    "not_identified": r.reason,
                }


def _transfer(f: Findings) -> Iterator[Row]:
    t = f.transfer
    if t is None:
        return
    cells = [("", cell) for cell in chain.from_iterable(t.cells[arm] for arm in t.arms)]
    for b in t.beyond:
        cells += [("mean, ", b.inside), ("mean, ", b.outside)]
    for prefix, cell in cells:
        if cell:
            yield {
                "arm": cell.arm,
                "kind": cell.column.kind,
                "tested": f"{prefix}{cell.column.name}",
                "control": cell.column.control,
                "trained": cell.trained,
                "difference": cell.difference.value,
                "low": cell.difference.low,
                "high": cell.difference.high,
                "size": cell.size,
            }


def _learning(f: Findings) -> Iterator[Row]:
    """A row for every point of the learning curves."""
    for arm in f.arms:
        curves = [("reward", source, curve) for source, curve in arm.rewards.items()]
        for what, source, curve in (*curves, ("dose so far", "", arm.doses)):
            for step, value in curve:
                yield {
                    "arm": arm.name,
                    "what": what,
                    "source": source,
                    "step": step,
                    "value": value,
                }


def _replies(f: Findings) -> Iterator[Row]:
    """A row for every pair of replies on the page."""
    for p in f.pairs:
        yield {
            "eval": p.eval,
            "item": p.item,
            "trait": p.trait,
            "sample": p.arm.sample,
            "seed": p.seed,
            "arm": p.who,
            "baseline_score": p.baseline.value,
            "arm_score": p.arm.value,
            "baseline_reply": clean(p.baseline.reply),
            "arm_reply": clean(p.arm.reply),
            "criteria": json.dumps([asdict(c) for c in p.criteria], ensure_ascii=False),
        }
