"""Tables that compare the arms of a run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from colorfast.analysis.dose import Response, Series
from colorfast.analysis.explanations import Explanation
from colorfast.analysis.transfer import Cell as Tested
from colorfast.analysis.transfer import Transfer
from colorfast.report.findings import PAPERS_GAIN, Findings, Row
from colorfast.report.sources import papers
from colorfast.report.table import Cell, Table, cell, difference, with_null
from colorfast.report.table import Row as Fields
from colorfast.report.wording import (
    chance,
    could_see,
    number,
    percent,
    several,
    signed,
)


def arm(name: str) -> Cell:
    """The name of an arm, shown in its color."""
    return Cell(name, kind="arm")


def estimates(f: Findings, title: str, rows: Sequence[Row]) -> Table:
    """Every eval, measure and arm."""
    origins = papers(f.experiment.evaluation)
    lines = []
    for row in rows:
        for name, e in row.cells.items():
            values: dict[str, object] = {"baseline": "no item was graded in both arms"}
            if e:
                values = {
                    "baseline": e.baseline,
                    "arm's": e.score,
                    "difference": e.difference,
                    "q": chance(e.q),
                    "detectable": e.detectable,
                    "items": e.items,
                    "seeds": e.seeds,
                    "ungraded": e.ungraded,
                }
            names = {
                "family": row.section,
                "eval": Cell(row.label, origins.get(row.eval, "")),
                "measure": row.measure,
                "arm": arm(name),
            }
            lines.append(names | values)
    return Table(title, lines, ("measure", "arm"), group="family")


def gains(f: Findings) -> Table:
    """Every gain beside its price: for each dosed arm the held-out difference and that of all
    evals, then each other explanation's. Beside a null stands what the run could have seen."""
    rows: dict[str, dict[str, object]] = {}
    for a in f.dosed:
        for what, value in _gains(f, a.name):
            row = rows.setdefault(what, dict.fromkeys((other.name for other in f.dosed), "-"))
            row[a.name] = value
    lines = [{"difference from the baseline": what} | row for what, row in rows.items()]
    return Table("Gains beside their price", lines, layout="glance")


def _gains(f: Findings, name: str) -> Iterator[tuple[str, str | Cell]]:
    for row in f.rows:
        e = row.cells[name]
        if row.all_held_out:
            other = "held-out, by a grader that did not reward"
            what = other if row.by_other_grader else "held-out scenarios"
            yield what, with_null(e.difference, e.detectable) if e else "-"
    o = f.overall[name]
    yield "all counted evals, mean", with_null(o.difference, o.detectable) if o else "-"
    counts = f"{o.significant_wins}, {o.significant_losses} of {o.evals}" if o else "-"
    yield "significantly better, worse", counts
    for x in f.explanations:
        if x.arm == name:
            yield x.what, with_null(x.difference, x.detectable) if x.difference else "-"


def explained(x: Explanation) -> dict[str, object]:
    """Another explanation in numbers and words, by column."""
    follows = [x.verdict or x.reason]
    # where a margin was stated, the verdict says already what could have been seen
    if x.difference and not x.difference.sign and x.outcome is None:
        follows.append(f"no clear change ({could_see(x.detectable)})")
    return {
        "baseline": cell(x.baseline),
        "arm's": cell(x.score),
        "difference": cell(x.difference),
        "what follows": "; ".join(filter(None, follows)),
    }


def explanations(f: Findings) -> Table:
    """What else changed between baseline and arm."""
    rows = [{"arm": x.arm, "what": x.what} | explained(x) for x in f.explanations]
    return Table("Other explanations", rows, ("what follows",), group="arm")


def half(r: Response) -> str:
    """The dose with half of the gain and its interval, or why there is none."""
    dose = r.half
    if dose is None:
        return f"not identified: {r.reason}"
    least = r.points[0].dose
    low = percent(dose.low) if dose.low >= least else f"below {percent(least)}"
    return f"{percent(dose.value)} ({low} to {percent(dose.high)})"


def begins(r: Response) -> str:
    """The smallest dose with a gain and with a loss; of a price, the smallest that pays it."""
    if not r.worse:
        doses = {"gain": r.gain, "loss": r.loss}
        known = [f"{what} from {percent(dose)}" for what, dose in doses.items() if dose is not None]
        return several(known) or "none"
    if r.pays is not None:
        return f"paid from {percent(r.pays)}"
    seen = r.points[-1].detectable
    return f"not seen (a true {number(seen)} would be, four times in five)" if seen else "not seen"


def response(f: Findings, s: Series) -> Table:
    """A series by dose: held-out scenarios, all evals together and prices first."""
    effective = {a.name: percent(a.effective) for a in f.arms}
    rows = [_by_dose("effective dose", s, effective, "", "")]
    together = [s.overall] if s.overall else []
    for r in (*s.evals[:1], *together, *s.prices, *s.evals[1:]):
        name = f"{r.name} (control)" if r.control else r.name
        points = {p.arm: p.difference for p in r.points}
        known = half(r) if r.half or r.reason else ""
        rows.append(_by_dose(name, s, points, begins(r), known))
    return Table("Dose and response", rows, ("smallest dose", "half of the gain at"))


def _by_dose(
    name: str, s: Series, values: Mapping[str, object], begins: str, half: str
) -> dict[str, object]:
    cells = {percent(dose): values.get(arm) for dose, arm in s.arms}
    return {"eval": name} | cells | {"smallest dose": begins, "half of the gain at": half}


def _tested(cell: Tested | None) -> Cell | None:
    if cell is None:
        return None
    change = difference(cell.difference, 2)
    return replace(change, kind="trained") if cell.trained else change


def transfer_means(t: Transfer) -> Table:
    """Of each arm: the mean over what it trained on, and over what it did not."""
    rows = [
        {
            "arm": arm(b.arm),
            "mean over": f"{b.kind}s",
            "trained on": _tested(b.inside),
            "not trained on": _tested(b.outside),
        }
        for b in t.beyond
    ]
    return Table("Transfer", rows, ("mean over",))


def transfer_cells(t: Transfer) -> Table:
    """Each arm on everything that is tested."""
    rows: list[Fields] = []
    for k, column in enumerate(t.columns):
        name = f"{column.name} (control)" if column.control else column.name
        names: dict[str, object] = {"kind of test": column.kind, "tested on": name}
        rows.append(names | {a: _tested(t.cells[a][k]) for a in t.arms})
    return Table("Transfer", rows, group="kind of test")


def power_table(f: Findings) -> Table:
    """What each arm's counted evals would have shown."""
    rows = []
    for a in f.dosed:
        cells = [row.cells[a.name] for row in f.rows if row.counted]
        detectable, overall = f.detectable(a), f.overall[a.name]
        able = sum(value <= PAPERS_GAIN for value in detectable)
        rows.append(
            {
                "arm": arm(a.name),
                "counted evals": len(cells),
                "median detectable": statistics.median(detectable) if detectable else None,
                f"would show the paper's {signed(PAPERS_GAIN)}": f"{able} of {len(cells)}",
                "not one item differed": sum(map(bool, cells)) - len(detectable),
                "all together": overall.detectable if overall else None,
            }
        )
    return Table("Power", rows)
