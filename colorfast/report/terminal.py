"""The comparison in a terminal: 100 columns hold two arms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from colorfast.analysis.estimate import Estimate
from colorfast.report import claims
from colorfast.report.comparison import begins, explanations, half
from colorfast.report.findings import ArmFacts, Findings
from colorfast.report.notes import cautions, compute, tallies
from colorfast.report.summary import summary
from colorfast.report.table import Cell, Table, as_rich
from colorfast.report.wording import clean, percent, power

ARMS_ACROSS = 2
LEGEND = (
    "▲ ▼ the 95% interval lies above or below 0   ≥ the smallest true difference that would have\n"
    "been seen four times in five   equal: not one item differed"
)


def show(f: Findings, console: Console) -> None:
    """Print every eval against the baseline, compute and doses, and at the end the summary."""
    for first in range(0, len(f.dosed), ARMS_ACROSS):
        console.print(as_rich(_matrix(f, f.dosed[first : first + ARMS_ACROSS])))
    if f.dosed:
        console.print(LEGEND, style="dim", highlight=False)
    for line in tallies(f):
        console.print(_text(line))
    if f.explanations:
        console.print(as_rich(explanations(f)))
    for line in _lines(f):
        console.print(_text(line))
    for note in cautions(f):
        console.print(_text(f"note: {note}", "dim"))
    console.print(_text("\n" + "\n".join(summary(f))))


def _text(line: str, style: str = "") -> Text:
    return Text(clean(line), style=style)


def _matrix(f: Findings, arms: Sequence[ArmFacts]) -> Table:
    """Evals down, arms across."""
    rows = []
    for row in f.rows:
        cells = {arm.name: row.cells[arm.name] for arm in arms}
        name = row.label if row.measure == "score" else "  probability"
        base = next((_plain(e.baseline) for e in cells.values() if e), "-")
        names: dict[str, object] = {
            "the family": row.section,
            "eval name": name,
            "in the baseline": base,
        }
        rows.append(names | {arm: _cell(e) for arm, e in cells.items()})
    return Table("", rows, [arm.name for arm in arms], group="the family")


def _plain(value: float, sign: bool = False) -> str:
    """`.31`, `+.12`: two digits and no zero before the point."""
    return (f"{value + 0.0:+.2f}" if sign else f"{value:.2f}").replace("0.", ".", 1)


def _cell(e: Estimate | None) -> str | Cell:
    if e is None:
        return "not graded"
    i = e.difference
    low, high = _plain(i.low, True), _plain(i.high, True)
    text = f"{_plain(i.value, True)} ({low}, {high})"
    if not i.sign:
        text += " equal" if e.detectable is None else f" ≥{_plain(e.detectable)}"
    return Cell(text, sign=i.sign)


def _lines(f: Findings) -> Iterator[str]:
    """Doses with half of the gain, the paper's claims, and what every arm used."""
    for s in f.series:
        first = s.evals[0]
        yield (
            f"held-out traits by dose ({s.label}): {begins(first)}; half of the gain at:"
            f" {half(first)}"
        )
    if f.rulings:
        yield f"the paper's claims: {claims.tally(f.rulings)}"
    yield f"compute: {compute(f)}"
    width = max(len(clean(arm.name)) for arm in f.arms)
    for arm in f.arms:
        dose = "no reply had an advantage"
        if arm.effective is not None:
            dose = f"effective {percent(arm.effective)}"
        yield (
            f"  {arm.name:<{width}}  {arm.total.tokens:,} tokens, {power(arm.total.flops)} FLOPs,"
            f" dose {percent(arm.dose)}, {dose}"
        )
