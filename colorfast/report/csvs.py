"""The report's tables for a program to read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from colorfast.claims import Ruling
from colorfast.report import rulings
from colorfast.report.findings import Findings
from colorfast.types import Estimate


def tables(f: Findings) -> dict[str, str]:
    """Each table there is data for, by name, as CSV."""
    made = {"estimates": _csv([field.name for field in fields(Estimate)], map(asdict, f.estimates))}
    for name, rows in (("claims", map(claim, f.rulings)), ("response", _responses(f)), ("transfer", _transfer(f))):
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
    numbers = {key: getattr(m, key) if m else None for key in ("value", "low", "high", "detectable", "p", "better", "worse", "evals")}
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
    """A row for every dose of every eval and price; what is said of the whole curve stands in each of its rows."""
    effective = {arm.name: arm.effective for arm in f.arms}
    for s in f.series:
        for r in (*s.evals, *([s.overall] if s.overall else ()), *s.prices):
            whole = {"gain_from": r.gain, "loss_from": r.loss, "pays_from": r.pays, "half": r.half.dose, "half_low": r.half.low}
            whole |= {"half_high": r.half.high, "misfit": r.fit.misfit if r.fit else None, "not_identified": r.half.reason}
            for p in r.points:
                yield {"series": s.label, "eval": r.name, "effective": effective[p.arm], **asdict(p), **whole}


def _transfer(f: Findings) -> Iterator[dict[str, Any]]:
    t = f.transfer
    if t is None:
        return
    rows = [(cell.column.name, cell) for a in t.arms for cell in t.cells[a] if cell]
    rows += [(f"mean, {cell.column.name}", cell) for b in t.beyond for cell in (b.inside, b.outside) if cell]
    for name, cell in rows:
        numbers = {"difference": cell.difference, "low": cell.low, "high": cell.high, "size": cell.size}
        column = {"kind": cell.column.kind, "tested": name, "control": cell.column.control, "trained": cell.trained}
        yield {"arm": cell.arm, **column, **numbers}
