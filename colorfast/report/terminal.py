"""The comparison in a terminal: 100 columns hold two arms."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table
from rich.text import Text

from colorfast.report import rulings
from colorfast.report.findings import ArmFacts, Findings
from colorfast.report.verdict import summary
from colorfast.report.wording import (
    begins,
    caution,
    clean,
    clear,
    compute,
    explained,
    half,
    marked,
    percent,
    power,
    tallies,
)
from colorfast.types import Estimate

ARMS_ACROSS = 2
LEGEND = (
    "● 95% interval excludes 0   ○ it does not: ≥ the smallest true difference that could have\n"
    "been seen four times in five, or equal where not one item differed"
)


def show(f: Findings, console: Console) -> None:
    """Print the table, the compute every arm used, the doses, and at the end the verdict in
    words."""
    for first in range(0, len(f.dosed), ARMS_ACROSS):
        console.print(_table(f, range(first, min(first + ARMS_ACROSS, len(f.dosed)))))
    if f.dosed:
        console.print(LEGEND, style="dim", highlight=False)
    for name, text in tallies(f):
        console.print(Text(f"{clean(name)}: {text}"))
    if f.explanations:
        console.print(_explanations(f))
    for s in f.series:
        console.print(
            Text(
                f"held-out traits by dose ({clean(s.label)}): {begins(s.evals[0])}; half of the"
                f" gain at: {half(s.evals[0])}"
            )
        )
    if f.rulings:
        console.print(Text(f"the paper's claims: {rulings.tally(f.rulings)}"))
    console.print(Text(f"compute: {compute(f)}"), *_used(f), sep="\n")
    for note in caution(f)[2:]:
        console.print(Text(f"note: {clean(note)}", style="dim"))
    console.print(Text("\n" + "\n".join(map(clean, summary(f)))))


def _table(f: Findings, arms: range) -> Table:
    table = Table(
        box=HORIZONTALS, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    table.add_column("eval", overflow="fold")
    table.add_column("base", justify="right")
    for i in arms:
        table.add_column(Text(clean(f.dosed[i].name)), overflow="fold")
    controls = False
    for family, control, rows in f.sections:
        if control and not controls:
            table.add_section()
            controls = True
        table.add_row(Text(clean(family) + " (control)" * control, style="italic dim"))
        for row in rows:
            cells = [row.cells[i] for i in arms]
            base = next((_plain(c.baseline) for c in cells if c), "-")
            name = clean(row.label) if row.measure == "score" else "  probability"
            table.add_row(Text(f" {name}"), base, *(_cell(c) for c in cells))
    return table


def _explanations(f: Findings) -> Table:
    table = Table(
        box=HORIZONTALS, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for column in ("other explanations", "arm", "base", "arm's", "difference"):
        table.add_column(column, overflow="fold")
    for e in f.explanations:
        base, own, *_, follows = explained(e)
        table.add_row(e.what, Text(clean(e.arm)), base, own, marked(e) or follows)
    return table


def _plain(value: float, sign: bool = False) -> str:
    """`.31`, `+.12`: two digits and no zero before the point."""
    return (f"{value + 0.0:+.2f}" if sign else f"{value:.2f}").replace("0.", ".", 1)


def _cell(e: Estimate | None) -> Text:
    if e is None:
        return Text("not graded", style="dim")
    text = (
        f"{'●' if clear(e) else '○'} {_plain(e.difference.value, True)}"
        f" ({_plain(e.difference.low, True)}, {_plain(e.difference.high, True)})"
    )
    if not clear(e):
        text += " equal" if e.detectable is None else f" ≥{_plain(e.detectable)}"
    return Text(text, style={1: "bold green", -1: "bold red", 0: ""}[clear(e)])


def _used(f: Findings) -> Iterator[Text]:
    """Per arm: tokens, FLOPs, and the dose as meant and as weighed."""
    wide = max(len(clean(a.name)) for a in f.arms)
    for arm in f.arms:
        yield Text(
            f"  {clean(arm.name):<{wide}}  {arm.total.tokens:,} tokens, {power(arm.total.flops)}"
            f" FLOPs, {_dose(arm)}"
        )


def _dose(arm: ArmFacts) -> str:
    effective = (
        "no reply had an advantage"
        if arm.effective is None
        else f"effective {percent(arm.effective)}"
    )
    return f"dose {percent(arm.dose)}, {effective}"
