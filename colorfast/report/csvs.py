"""The report's tables for a program to read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from colorfast.analysis.claims import Ruling
from colorfast.report import attacks, rulings
from colorfast.report.findings import Findings
from colorfast.report.origins import origins
from colorfast.report.wording import clean
from colorfast.stats.rows import columns, flat
from colorfast.types import Estimate


def tables(f: Findings) -> dict[str, str]:
    """Each table there is data for, by name, as CSV."""
    made = {"estimates": _csv(columns(Estimate), map(flat, f.estimates))}
    made_of = {
        "claims": map(claim, f.rulings),
        "response": _responses(f),
        "transfer": _transfer(f),
        "explanations": map(flat, f.explanations),
        "learning": _learning(f),
        "replies": _replies(f),
        "sources": _sources(f),
        "unmeasured": map(flat, f.unmeasured),
    }
    for name, rows in made_of.items():
        if found := list(rows):
            made[name] = _csv(list(found[0]), found)
    return made


def _csv(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    lines = csv.DictWriter(out, names, lineterminator="\n")
    lines.writeheader()
    lines.writerows(rows)
    return out.getvalue()


def claim(r: Ruling) -> dict[str, Any]:
    """A ruling as plain data."""
    m = r.measured
    difference = m.difference if m else None
    numbers = {end: getattr(difference, end, None) for end in ("value", "low", "high")}
    numbers |= {
        key: getattr(m, key, None) for key in ("detectable", "p", "better", "worse", "evals")
    }
    return {
        "id": r.claim.id,
        "section": r.claim.section,
        "claim": r.claim.text,
        "paper": r.claim.paper,
        "effect": r.claim.effect or None,
        "margin": r.claim.margin,
        "here": rulings.ours(r),
        "arm": r.arm,
        "dose": r.dose,
        "verdict": r.verdict,
        "why": rulings.why(r),
        **numbers,
    }


def _responses(f: Findings) -> Iterator[dict[str, Any]]:
    """A row for every dose of every eval and price; what is said of the whole curve stands in each
    of its rows."""
    effective = {arm.name: arm.effective for arm in f.arms}
    for s in f.series:
        for r in (*s.evals, *([s.overall] if s.overall else ()), *s.prices):
            half = r.half.dose
            whole = {
                "gain_from": r.gain,
                "loss_from": r.loss,
                "pays_from": r.pays,
                "half": half.value if half else None,
                "half_low": half.low if half else None,
            }
            whole |= {
                "half_high": half.high if half else None,
                "misfit": r.fit.misfit if r.fit else None,
                "not_identified": r.half.reason,
            }
            for p in r.points:
                yield {
                    "series": s.label,
                    "eval": r.name,
                    "effective": effective[p.arm],
                    **flat(p),
                    **whole,
                }


def _transfer(f: Findings) -> Iterator[dict[str, Any]]:
    t = f.transfer
    if t is None:
        return
    rows = [(cell.column.name, cell) for a in t.arms for cell in t.cells[a] if cell]
    rows += [
        (f"mean, {cell.column.name}", cell)
        for b in t.beyond
        for cell in (b.inside, b.outside)
        if cell
    ]
    for name, cell in rows:
        numbers = {
            "difference": cell.difference.value,
            "low": cell.difference.low,
            "high": cell.difference.high,
            "size": cell.size,
        }
        column = {
            "kind": cell.column.kind,
            "tested": name,
            "control": cell.column.control,
            "trained": cell.trained,
        }
        yield {"arm": cell.arm, **column, **numbers}


def _learning(f: Findings) -> Iterator[dict[str, Any]]:
    """A row for every point of the learning curves."""
    for arm in f.arms:
        for source, curve in arm.rewards.items():
            yield from (
                {"arm": arm.name, "what": "reward", "source": source, "step": step, "value": value}
                for step, value in curve
            )
        yield from (
            {"arm": arm.name, "what": "dose so far", "source": "", "step": step, "value": value}
            for step, value in arm.doses
        )


def _replies(f: Findings) -> Iterator[dict[str, Any]]:
    """A row for every pair of replies on the page."""
    for p in f.pairs:
        where = {
            "eval": p.eval,
            "item": p.item,
            "trait": p.trait,
            "sample": p.arm.sample,
            "seed": p.seed,
            "arm": p.who,
        }
        scores = {"baseline_score": p.baseline.value, "arm_score": p.arm.value}
        criteria = [
            {"weight": weight, "criterion": text, "baseline": theirs, "arm": ours}
            for weight, text, theirs, ours in p.parts
        ]
        told = {"baseline_reply": clean(p.baseline.reply), "arm_reply": clean(p.arm.reply)}
        yield where | scores | told | {"criteria": json.dumps(criteria, ensure_ascii=False)}


def _sources(f: Findings) -> Iterator[dict[str, Any]]:
    for name, origin in origins(f).items():
        yield from (
            {"eval": name, "kind": origin.kind, "trait": origin.trait, **flat(files)}
            for files in origin.files
        )


def attacked(told: attacks.Told) -> dict[str, str]:
    """The tables of the attacks."""
    parts = (
        ("attacks", attacks.HEAD, attacks.rows(told)),
        ("attack-levels", attacks.LEVELS, attacks.levels(told)),
    )
    return {
        name: _csv(head, (dict(zip(head, row, strict=True)) for row in rows))
        for name, head, rows in parts
    }
